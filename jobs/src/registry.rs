//! What is known of all kinds: how they are registered, who may give them keys, and jobs that a person typed.

use bedel_queue::{EnqueueError, Job, NewJob, QueueView, Registry, queues};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::environment::Context;
use crate::kinds::CourseSync;
use crate::pipeline::{self, is_stage};

/// Declares the module of each kind and registers the kind: `module::Type`, one line each.
macro_rules! kinds {
    ($($module:ident::$kind:ident,)*) => {
        $(pub mod $module;)*

        /// The kinds of this program, with what every job of theirs gets.
        #[must_use]
        pub fn registry(context: $crate::environment::Context) -> bedel_queue::Registry<$crate::environment::Context> {
            bedel_queue::Registry::new(context)$(.register::<$module::$kind>())*
        }
    };
}
pub(crate) use kinds;

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
