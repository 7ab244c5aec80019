//! `prune-webhooks`: deletes removed webhooks, and messages that are older than their retention.

use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, Policy};
use serde_json::json;
use sqlx::PgConnection;

use crate::environment::Context;
pub use crate::kinds::PruneWebhooks;
use crate::webhook::prune;

impl Job for PruneWebhooks {
    const KIND: &'static str = "prune-webhooks";
    type Context = Context;
    /// Number of deleted messages.
    type Output = u64;

    /// It runs again within the hour, and each batch is final, so three attempts are enough.
    fn policy() -> Policy {
        Policy {
            queue: "maintenance",
            max_attempts: 3,
            backoff: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(3600),
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, _: &Attempt) -> Result<u64, JobError> {
        let mut connection = ctx.pool.acquire().await?;
        Ok(prune::old_messages(&mut connection).await? + prune::removed_webhooks(&mut connection).await?)
    }

    async fn commit(
        &self,
        _: &Context,
        _: &Attempt,
        output: &u64,
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done().with_result(json!({ "deleted": output })))
    }
}
