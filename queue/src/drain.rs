//! Drain: run a worker until nothing is available and nothing runs. What tests of handlers want.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::error::is_passing;
use crate::job::Policy;
use crate::own::own_connection;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::worker::{WorkerError, WorkerOptions, run_worker};

/// Time between two looks at what is left. A look is a few probes of indexes.
const LOOK: Duration = Duration::from_millis(20);

/// The longest poll interval of a drain: nobody waits for a test.
const POLL: Duration = Duration::from_millis(100);

/// The planner takes a look for dear and would have it compiled (`jit`), which lasts a hundred times as long as looking.
const NEVER_COMPILED: [(&str, &str); 1] = [("jit", "off")];

/// Pause after a look that the database did not answer.
const DATABASE_RETRY: Duration = Duration::from_millis(500);

/// Runs a worker until no job of its kinds is due and none is running on any worker, then stops it.
///
/// Everything that becomes due meanwhile is run too: successors, retries without a delay, what others enqueue. What is
/// due later (a delay, a backoff, a wait) is left alone, so a drain ends even where a job would be retried for a
/// day; so is what no worker may claim: the jobs of a paused queue, and of a group whose breaker is open before its next probe
/// is due. Rows left by a worker that died are waited for until they are rescued.
///
/// It is the same worker as [`run_worker`]'s, with its claims, leases and transactions; only the poll interval is at
/// most 100 ms. That makes it the way to test handlers: enqueue, drain, look at the rows. `examples/invoices.rs` does so.
///
/// - To see a retry run, give the kind a short backoff and drain again once it is due; or make it due with
///   [`retry`](crate::retry), and drain again.
/// - To see what a worker does with a job that is scheduled, enqueue it without the delay: the handler cannot tell.
/// - A handler that never returns is ended by its kind's [`Policy::timeout`](crate::Policy::timeout), which bounds the
///   drain as well. A kind that enqueues itself without a delay has no end, and neither has its drain.
/// - Await it to its end, as any worker: one that is dropped on the way gives its jobs back only after a while.
///
/// # Errors
/// Those of [`run_worker`]; [`WorkerError::Database`] where the database refuses to tell what is left, as it does without the
/// queue's tables. While the database is away the drain waits for it, as a worker does.
pub async fn drain<C: Clone + Send + Sync + 'static>(
    queue: Queue,
    registry: Registry<C>,
    options: WorkerOptions,
) -> Result<(), WorkerError> {
    let kinds = options.slots.iter().filter(|(_, slots)| **slots > 0).map(|(kind, _)| kind.clone());
    // A kind that is not registered has no policy; the worker refuses to start with it.
    let kinds = kinds.filter_map(|kind| registry.policy(&kind).map(|policy| (kind, policy))).collect();
    let options = WorkerOptions { poll: options.poll.min(POLL), ..options };
    let looks = own_connection(queue.pool(), "bedel-drain", &NEVER_COMPILED);
    let stop = CancellationToken::new();
    let mut worker = std::pin::pin!(run_worker(queue, registry, options, stop.clone()));
    let idle = tokio::select! {
        ended = &mut worker => return ended,
        idle = until_idle(&looks, kinds) => idle,
    };
    looks.close().await;
    stop.cancel();
    worker.await?;
    idle
}

async fn until_idle(pool: &PgPool, kinds: Vec<(String, Policy)>) -> Result<(), WorkerError> {
    loop {
        let pause = match is_idle(pool, &kinds).await {
            Ok(true) => return Ok(()),
            Ok(false) => LOOK,
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "no look at what is left; will try again");
                DATABASE_RETRY
            }
            Err(error) => return Err(WorkerError::Database(error)),
        };
        tokio::time::sleep(pause).await;
    }
}

/// True where nothing of these kinds runs and nothing that may be claimed is due. One snapshot: a job that ends and the
/// successor it enqueues change places in it at once. While a kind's own queue is paused nothing of it is claimed, and while
/// the breaker of a group is open nothing before the next probe but what waits no longer.
async fn is_idle(pool: &PgPool, kinds: &[(String, Policy)]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- drain::is_idle
         WITH RECURSIVE paused AS MATERIALIZED (
             SELECT ARRAY(SELECT name::text FROM queue.queues WHERE paused_at IS NOT NULL) AS queues
         ), wanted AS MATERIALIZED (
             SELECT w.kind, w.breaker, paused.queues AS paused
               FROM unnest($1::text[], $2::text[], $3::boolean[]) AS w (kind, lane, breaker) CROSS JOIN paused
              WHERE lane <> ALL (paused.queues)
         ), priorities AS (
             SELECT * FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
         ), groups AS (
             SELECT wanted.kind, wanted.breaker, wanted.paused, first.group_key
               FROM wanted
              CROSS JOIN LATERAL (
                    SELECT group_key FROM queue.jobs AS job
                     WHERE job.kind = wanted.kind AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                     ORDER BY group_key LIMIT 1
              ) AS first
             UNION ALL
             SELECT groups.kind, groups.breaker, groups.paused, next.group_key
               FROM groups
              CROSS JOIN LATERAL (
                    SELECT group_key FROM queue.jobs AS job
                     WHERE job.kind = groups.kind AND job.group_key > groups.group_key
                       AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                     ORDER BY group_key LIMIT 1
              ) AS next
         ), waiting AS (
             SELECT groups.*, groups.breaker AND EXISTS (
                    SELECT FROM queue.breakers AS b
                     WHERE b.group_key = groups.group_key AND b.probe_at > now()) AS down
               FROM groups
         )
         SELECT NOT EXISTS (SELECT FROM queue.jobs WHERE state = 'running' AND kind = ANY ($1::text[]))
            AND NOT EXISTS (
                SELECT FROM queue.jobs AS job JOIN wanted ON wanted.kind = job.kind
                 WHERE state = 'available' AND crashes > 0 AND run_at <= now() AND queue <> ALL (wanted.paused)
                   AND (NOT wanted.breaker OR crashes >= max_crashes OR give_up_at <= now()
                        OR NOT EXISTS (SELECT FROM queue.breakers AS b
                                        WHERE b.group_key = job.group_key AND b.probe_at > now())))
            AND NOT EXISTS (
                SELECT FROM wanted CROSS JOIN priorities
                 CROSS JOIN LATERAL (
                       SELECT FROM queue.jobs AS job
                        WHERE job.kind = wanted.kind AND job.priority = priorities.priority
                          AND state = 'available' AND crashes = 0 AND group_key IS NULL
                          AND run_at <= now() AND queue <> ALL (wanted.paused)
                        ORDER BY run_at LIMIT 1
                 ) AS single)
            AND NOT EXISTS (
                SELECT FROM waiting CROSS JOIN priorities
                 CROSS JOIN LATERAL (
                       SELECT FROM queue.jobs AS job
                        WHERE job.kind = waiting.kind AND job.group_key = waiting.group_key
                          AND job.priority = priorities.priority
                          AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                          AND run_at <= now() AND queue <> ALL (waiting.paused)
                        ORDER BY run_at LIMIT 1
                 ) AS grouped
                 WHERE NOT waiting.down)
            AND NOT EXISTS (
                SELECT FROM waiting
                 CROSS JOIN LATERAL (
                       SELECT FROM queue.jobs AS job
                        WHERE job.kind = waiting.kind AND job.group_key = waiting.group_key AND give_up_at <= now()
                          AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                          AND queue <> ALL (waiting.paused)
                        ORDER BY give_up_at LIMIT 1
                 ) AS overdue
                 WHERE waiting.down)",
    )
    .bind(kinds.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>())
    .bind(kinds.iter().map(|(_, policy)| policy.queue).collect::<Vec<_>>())
    .bind(kinds.iter().map(|(_, policy)| policy.breaker.is_some()).collect::<Vec<_>>())
    .fetch_one(pool)
    .await
}
