//! All kinds: their registration, the unique keys that callers may set, and jobs made from a typed name.

use bedel_queue::{EnqueueError, Job, NewJob, QueueView, Registry, queues};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::environment::Context;
use crate::kinds::{CourseSync, DeliverWebhook};
use crate::pipeline::{self, is_stage};

/// Declares the module of each kind and registers the kind: one `module::Type` a line.
macro_rules! kinds {
    ($($module:ident::$kind:ident,)*) => {
        $(pub mod $module;)*

        /// The registry of all kinds, with the context that their jobs get.
        #[must_use]
        pub fn registry(context: $crate::environment::Context) -> bedel_queue::Registry<$crate::environment::Context> {
            bedel_queue::Registry::new(context)$(.register::<$module::$kind>())*
                .on_discard(|_, discarded, tx| Box::pin($crate::webhook::publish::job_discarded(tx, discarded)))
        }

        /// All kinds with their policies, in the order of the registry.
        #[must_use]
        pub fn policies() -> Vec<(&'static str, bedel_queue::Policy)> {
            use bedel_queue::Job;
            vec![$(($module::$kind::KIND, $module::$kind::policy()),)*]
        }
    };
}
pub(crate) use kinds;

/// True if a caller may give a job of this kind this unique key. Stages, course syncs and deliveries have fixed
/// keys, which no other job may take.
#[must_use]
pub fn may_have_key(kind: &str, key: &str) -> bool {
    let has_fixed_key = is_stage(kind) || [CourseSync::KIND, DeliverWebhook::KIND].contains(&kind);
    let is_taken =
        [pipeline::KEY_PREFIX, DeliverWebhook::KEY_PREFIX].iter().any(|prefix| key.starts_with(prefix));
    !has_fixed_key && key != CourseSync::KIND && !is_taken
}

/// The queues in the database and those of the registered kinds, sorted by name.
pub async fn known_queues(
    connection: &mut PgConnection,
    registry: &Registry<Context>,
) -> Result<Vec<QueueView>, sqlx::Error> {
    Ok(with_idle_queues(queues(connection).await?, registry))
}

/// These queues and the other ones of the program's kinds, by name.
#[must_use]
pub fn with_idle_queues(mut views: Vec<QueueView>, registry: &Registry<Context>) -> Vec<QueueView> {
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
    views
}

/// A job from a typed kind and args. It gets the subject and unique key that the program itself gives such a
/// job: a stage those of its lecture, a delivery those of its message, a course sync the key of all course syncs.
///
/// # Errors
/// The kind is unknown, or its type cannot decode the args.
pub fn new_job(registry: &Registry<Context>, kind: &str, args: Value) -> Result<NewJob, EnqueueError> {
    let lecture_id =
        args.get("lecture_id").and_then(Value::as_str).and_then(|text| Uuid::try_parse(text).ok());
    let delivery: Option<DeliverWebhook> =
        (kind == DeliverWebhook::KIND).then(|| serde_json::from_value(args.clone()).ok()).flatten();
    let job = registry.new_job(kind, args)?;
    if let Some(delivery) = delivery {
        return Ok(delivery.bind(job));
    }
    if kind == CourseSync::KIND {
        return Ok(job.unique_key(CourseSync::KIND));
    }
    let Some(id) = lecture_id.filter(|_| is_stage(kind)) else { return Ok(job) };
    Ok(pipeline::bind_to_lecture(job, id, &registry.context().settings))
}
