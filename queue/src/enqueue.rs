//! Enqueueing: a job exists if and only if the caller's transaction commits.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::job::{Job, Policy};

/// A job to be enqueued.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub(crate) kind: &'static str,
    pub(crate) args: Value,
    pub(crate) policy: Policy,
    pub(crate) subject: Option<Uuid>,
    pub(crate) unique_key: Option<String>,
    pub(crate) group_key: Option<String>,
    pub(crate) priority: i16,
    pub(crate) delay: Duration,
}

impl NewJob {
    /// A job of `J`'s kind with these args and `J`'s policy.
    ///
    /// # Panics
    /// Where the args cannot be written as JSON, which is an error in their type.
    #[must_use]
    pub fn new<J: Job>(args: &J) -> Self {
        Self {
            kind: J::KIND,
            args: serde_json::to_value(args).expect("the args of a job kind are plain data"),
            policy: J::policy(),
            subject: None,
            unique_key: None,
            group_key: None,
            priority: 2,
            delay: Duration::ZERO,
        }
    }

    /// What the job is about; `ended` and `attempt_failed` get it, and it is indexed.
    #[must_use]
    pub fn subject(mut self, subject: Uuid) -> Self {
        self.subject = Some(subject);
        self
    }

    /// At most one live (available or running) job has this key.
    #[must_use]
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// The shared thing the job will lean on, such as an upstream's host.
    #[must_use]
    pub fn group_key(mut self, key: impl Into<String>) -> Self {
        self.group_key = Some(key.into());
        self
    }

    /// 1 (first) to 4 (last); 2 by default.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority.clamp(1, 4);
        self
    }

    /// Not before this long from now, by the database's clock.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Overrides the policy's `give_up_after`.
    #[must_use]
    pub fn give_up_after(mut self, limit: Duration) -> Self {
        self.policy.give_up_after = limit;
        self
    }
}

/// What enqueueing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job: the new one, or the live one that already has the unique key.
    pub id: Uuid,
    /// False where a live job with the same unique key was found instead.
    pub created: bool,
}

/// Enqueues `job` in the caller's transaction. Wake the workers after the commit with [`Queue::wake`](crate::Queue::wake).
///
/// # Errors
/// The database's.
pub async fn enqueue(tx: &mut PgConnection, job: &NewJob) -> Result<Enqueued, sqlx::Error> {
    let (id, created) = sqlx::query_as(
        "-- enqueue
         SELECT id, created
           FROM queue.enqueue(kind => $1, args => $2, subject => $3, unique_key => $4, group_key => $5, queue => $6,
                              priority => $7, delay => make_interval(secs => $8),
                              give_up_after => make_interval(secs => $9), max_attempts => $10, max_crashes => $11)",
    )
    .bind(job.kind)
    .bind(&job.args)
    .bind(job.subject)
    .bind(&job.unique_key)
    .bind(&job.group_key)
    .bind(job.policy.queue)
    .bind(job.priority)
    .bind(job.delay.as_secs_f64())
    .bind(job.policy.give_up_after.as_secs_f64())
    .bind(job.policy.max_attempts)
    .bind(job.policy.max_crashes)
    .fetch_one(tx)
    .await?;
    Ok(Enqueued { id, created })
}
