//! The kinds of jobs there are: a new kind is one file beside this one and one line here.

use bedel_queue::{EnqueueError, Job, NewJob, QueueView, Registry, queues};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cleanup_orphans::CleanupOrphans;
use crate::course_sync::CourseSync;
use crate::download::Download;
use crate::environment::Context;
use crate::pipeline::{self, is_stage};
use crate::probe::Probe;
use crate::submit::Submit;
use crate::transcribe::Transcribe;

/// The four stages of a lecture in their order, then the cron jobs.
#[must_use]
pub fn registry(context: Context) -> Registry<Context> {
    Registry::new(context)
        .register::<Submit>()
        .register::<Download>()
        .register::<Probe>()
        .register::<Transcribe>()
        .register::<CleanupOrphans>()
        .register::<CourseSync>()
}

/// True where a person may give a job of this kind this unique key: kinds that have a key of their own keep it, and no other
/// job takes one of theirs.
#[must_use]
pub fn may_have_key(kind: &str, key: &str) -> bool {
    let has_own = is_stage(kind) || kind == CourseSync::KIND;
    !has_own && key != CourseSync::KIND && !key.starts_with(pipeline::KEY_PREFIX)
}

/// The queues in the database, and those of the kinds this program knows, by name.
///
/// # Errors
/// The database's.
pub async fn known_queues(
    connection: &mut PgConnection,
    registry: &Registry<Context>,
) -> Result<Vec<QueueView>, sqlx::Error> {
    let mut views = queues(connection).await?;
    for (_, policy) in registry.policies() {
        if views.iter().all(|view| view.name != policy.queue) {
            views.push(QueueView {
                name: policy.queue.to_owned(),
                paused_at: None,
                available: 0,
                running: 0,
                oldest_run_at: None,
            });
        }
    }
    views.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(views)
}

/// A job from a kind's name and args that a person typed. It gets what the program itself would give it: one of a
/// lecture's four stages the lecture's subject and unique key, a catalogue synchronisation its own key.
///
/// # Errors
/// Where the kind is unknown or the args are not its own.
pub fn new_job(registry: &Registry<Context>, kind: &str, args: Value) -> Result<NewJob, EnqueueError> {
    let lecture_id =
        args.get("lecture_id").and_then(Value::as_str).and_then(|text| Uuid::try_parse(text).ok());
    let job = registry.new_job(kind, args)?;
    if kind == CourseSync::KIND {
        return Ok(job.unique_key(CourseSync::KIND));
    }
    let Some(id) = lecture_id.filter(|_| is_stage(kind)) else { return Ok(job) };
    Ok(pipeline::keyed(job, id, &registry.context().settings))
}
