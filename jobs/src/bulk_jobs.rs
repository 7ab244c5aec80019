//! `bulk-jobs`: works through a bulk operation, portion by portion.

use std::time::{Duration, Instant};

use bedel_queue::{Attempt, Backoff, Commit, End, Job, JobError, NewJob, Policy, Queue};
use sqlx::PgConnection;

use crate::bulk::{self, Portion};
use crate::environment::Context;
pub use crate::kinds::BulkJobs;
use crate::registry;

/// Time between two checkpoints. The operation's row holds the position; a checkpoint shows the queue that a crashed
/// attempt made progress, so that its crash is not counted.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);

impl Job for BulkJobs {
    const KIND: &'static str = "bulk-jobs";
    type Context = Context;
    type Output = ();

    /// Each attempt resumes where the last one ended. A million jobs with hooks take an hour.
    fn policy() -> Policy {
        Policy {
            queue: "maintenance",
            max_attempts: 10,
            backoff: Backoff { first: Duration::from_secs(5), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(12 * 3600),
            ..Policy::default()
        }
    }

    async fn begin(&self, _: &Context, _: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        Ok(bulk::reopen(tx, self.operation_id).await?)
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<(), JobError> {
        let registry = registry(ctx.clone());
        let queue = Queue::new(ctx.pool.clone());
        let mut saved: Option<Instant> = None;
        loop {
            let portion = attempt
                .retry_while_database_is_away(|| bulk::work_portion(ctx, &registry, self.operation_id))
                .await?;
            let Portion::More { done, progress } = portion else { return Ok(()) };
            queue.wake();
            queue.announce_cancellation();
            if let Some(progress) = progress {
                attempt.set_progress(progress);
            }
            if saved.is_none_or(|at| at.elapsed() > CHECKPOINT_INTERVAL) {
                attempt.save_checkpoint(&done).await?;
                saved = Some(Instant::now());
            }
        }
    }

    async fn commit(
        &self,
        _: &Context,
        _: &Attempt,
        (): &(),
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        bulk::end(tx, self.operation_id, "done").await?;
        Ok(Commit::done())
    }

    async fn ended(_: &Context, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        if let Some(operation_id) = end.subject {
            bulk::end(tx, operation_id, if end.cancelled { "stopped" } else { "failed" }).await?;
        }
        Ok(Vec::new())
    }
}
