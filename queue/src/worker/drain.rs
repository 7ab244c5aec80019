//! Drain: run a worker until no job is due and none runs. Made for tests of handlers.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;

use super::error::WorkerError;
use super::registry::Registry;
use super::run::run_worker;
use crate::claim::claimable::expand;
use crate::database_retry::DATABASE_RETRY_PAUSE;
use crate::dedicated_connection::dedicated_connection;
use crate::enqueue::queue::Queue;
use crate::error::is_passing;
use crate::options::WorkerOptions;
use crate::policy::Policy;
use crate::stale::note_stale;

static IS_IDLE: LazyLock<String> = LazyLock::new(|| expand(include_str!("../../sql/is_idle.sql")));

/// Time between two idle checks. A check costs a few index lookups.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Longest poll interval of a drain, so that tests need not wait.
const MAX_POLL: Duration = Duration::from_millis(100);

/// The planner overestimates the check and would compile it (`jit`), which takes a hundred times as long as
/// the check.
const NO_JIT: [(&str, &str); 1] = [("jit", "off")];

/// Runs a worker until no job of its kinds is due and none is running on any worker, then stops it.
///
/// Jobs that become due meanwhile run too: successors, retries without a delay, jobs that others enqueue.
/// Jobs that are due later (a delay, a backoff, a wait) stay, so a drain ends even if a job would be retried
/// for a day. Jobs that no worker may claim stay as well: those of a paused queue, and those of a group with
/// an open breaker before its next probe is due. Rows left by a dead worker are waited for until they are
/// rescued.
///
/// It uses the same worker as [`run_worker`], with the same claims, leases and transactions; only the poll
/// interval is at most 100 ms. So it suits tests of handlers: enqueue, drain, check the rows.
/// `examples/invoices.rs` does so.
///
/// - To see a retry run, give the kind a short backoff and drain again once it is due. Or make it due with
///   [`retry`](crate::retry), and drain again.
/// - To test a scheduled job, enqueue it without the delay: the handler cannot see the difference.
/// - A handler that never returns is ended by its kind's [`Policy::timeout`](crate::Policy::timeout), which
///   also bounds the drain. If a kind enqueues itself without a delay, its drain never ends.
/// - Await it to its end, like any worker. A dropped drain releases its jobs only after a while.
///
/// # Errors
/// Those of [`run_worker`]; [`WorkerError::Database`] if the database refuses the idle check, as it does
/// without the queue's tables. While the database is away the drain waits for it, as a worker does.
pub async fn drain<C: Clone + Send + Sync + 'static>(
    queue: Queue,
    registry: Registry<C>,
    options: WorkerOptions,
) -> Result<(), WorkerError> {
    let kinds = options.slots.iter().filter(|(_, slots)| **slots > 0).map(|(kind, _)| kind.clone());
    // An unregistered kind has no policy; the worker refuses to start with it.
    let kinds = kinds.filter_map(|kind| registry.policy(&kind).map(|policy| (kind, policy))).collect();
    let options = WorkerOptions { poll: options.poll.min(MAX_POLL), ..options };
    let checks = dedicated_connection(queue.pool(), "bedel-drain", &NO_JIT);
    let stop = CancellationToken::new();
    let mut worker = std::pin::pin!(run_worker(queue, registry, options, stop.clone()));
    let idle = tokio::select! {
        ended = &mut worker => return ended,
        idle = until_idle(&checks, kinds) => idle,
    };
    checks.close().await;
    stop.cancel();
    worker.await?;
    idle
}

async fn until_idle(pool: &PgPool, kinds: Vec<(String, Policy)>) -> Result<(), WorkerError> {
    loop {
        let pause = match is_idle(pool, &kinds).await {
            Ok(true) => return Ok(()),
            Ok(false) => CHECK_INTERVAL,
            Err(error) if is_passing(&error) => {
                note_stale(&error);
                tracing::warn!(%error, "idle check failed; will retry");
                DATABASE_RETRY_PAUSE
            }
            Err(error) => return Err(WorkerError::Database(error)),
        };
        tokio::time::sleep(pause).await;
    }
}

/// True if none of these kinds runs and no claimable job of them is due. One snapshot: a job's end and its
/// successor's start appear at once. Nothing of a kind counts while its own queue is paused. While a group's
/// breaker is open, only overdue jobs count before the next probe.
async fn is_idle(pool: &PgPool, kinds: &[(String, Policy)]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(AssertSqlSafe(IS_IDLE.as_str()))
        .bind(kinds.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>())
        .bind(kinds.iter().map(|(_, policy)| policy.queue).collect::<Vec<_>>())
        .bind(kinds.iter().map(|(_, policy)| policy.breaker.is_some()).collect::<Vec<_>>())
        .fetch_one(pool)
        .await
}
