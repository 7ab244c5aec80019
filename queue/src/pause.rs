//! Queues as operators see them: pause, resume, and how much waits in each.
//!
//! A queue is a name that jobs carry. Pausing one needs no job of it: it may be paused before its first job exists.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Acquire, PgConnection};

use crate::queue::CHANNEL;

/// Counts of a [`QueueView`] end here: this many or more.
pub const COUNT_LIMIT: i64 = 10_000;

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct QueueView {
    /// The name its jobs carry.
    pub name: String,
    /// Since when nothing of it is claimed. None where it is not paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// Waiting jobs, those scheduled for later included; [`COUNT_LIMIT`] means that many or more.
    pub available: i64,
    /// Running jobs; [`COUNT_LIMIT`] means that many or more.
    pub running: i64,
    /// Earliest `run_at` of a waiting job: in the past, since when it waits; in the future, when it is due.
    pub oldest_run_at: Option<DateTime<Utc>>,
}

/// Pauses a queue for all workers once the transaction commits: no further job of it is claimed. Running attempts go on,
/// and enqueueing goes on too. Pausing twice keeps the time of the first.
///
/// A kind whose policy names a paused queue is not claimed at all, not even those of its jobs that a producer put into
/// another one.
///
/// # Errors
/// The database's.
pub async fn pause(tx: &mut PgConnection, queue: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- pause
         INSERT INTO queue.queues AS q (name, paused_at) VALUES ($1, now())
         ON CONFLICT (name) DO UPDATE SET paused_at = now(), changed_at = now() WHERE q.paused_at IS NULL",
    )
    .bind(queue)
    .execute(tx)
    .await?;
    Ok(())
}

/// Resumes a queue and wakes the workers, both when the transaction commits. A queue that is not paused stays as it is.
///
/// # Errors
/// The database's.
pub async fn resume(tx: &mut PgConnection, queue: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- pause::resume
         WITH resumed AS (
             UPDATE queue.queues SET paused_at = NULL, changed_at = now()
              WHERE name = $1 AND paused_at IS NOT NULL
             RETURNING name
         )
         SELECT pg_notify($2, '') FROM resumed",
    )
    .bind(queue)
    .bind(CHANNEL)
    .execute(tx)
    .await?;
    Ok(())
}

/// For the rest of the transaction: the planner takes counting for dear and would have it compiled, which lasts twenty times as
/// long as the counting.
pub(crate) async fn plain_plans(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("-- pause::plain_plans\nSET LOCAL jit = off").execute(tx).await?;
    Ok(())
}

/// The queues that have a live job or were paused before, by name.
///
/// No table is walked. The kinds that wait are found one after another along the claim's indexes, and of each at most
/// [`COUNT_LIMIT`] jobs per priority (and as many with a group) are looked at: where a kind has more and they stand in
/// several queues, some are missing from the counts.
///
/// # Errors
/// The database's.
pub async fn queues(connection: &mut PgConnection) -> Result<Vec<QueueView>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    plain_plans(&mut tx).await?;
    let views = sqlx::query_as(
        "-- pause::queues
         WITH RECURSIVE kinds AS (
             SELECT LEAST(
                    (SELECT kind FROM queue.jobs
                      WHERE state = 'available' AND crashes = 0 AND group_key IS NULL
                      ORDER BY kind LIMIT 1),
                    (SELECT kind FROM queue.jobs
                      WHERE state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                      ORDER BY kind LIMIT 1)) AS kind
             UNION ALL
             SELECT LEAST(
                    (SELECT job.kind FROM queue.jobs AS job
                      WHERE job.kind > kinds.kind AND state = 'available' AND crashes = 0 AND group_key IS NULL
                      ORDER BY job.kind LIMIT 1),
                    (SELECT job.kind FROM queue.jobs AS job
                      WHERE job.kind > kinds.kind AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                      ORDER BY job.kind LIMIT 1))
               FROM kinds WHERE kinds.kind IS NOT NULL
         ), waiting AS (
             SELECT found.queue, found.run_at
               FROM kinds
              CROSS JOIN (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
              CROSS JOIN LATERAL (
                    SELECT queue, run_at FROM queue.jobs AS job
                     WHERE job.kind = kinds.kind AND job.priority = p.priority
                       AND state = 'available' AND crashes = 0 AND group_key IS NULL
                     ORDER BY run_at LIMIT $1
              ) AS found
              UNION ALL
             SELECT found.queue, found.run_at
               FROM kinds
              CROSS JOIN LATERAL (
                    SELECT queue, run_at FROM queue.jobs AS job
                     WHERE job.kind = kinds.kind AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                     ORDER BY group_key, priority, run_at LIMIT $1
              ) AS found
              UNION ALL
             (SELECT queue, run_at FROM queue.jobs
               WHERE state = 'available' AND crashes > 0
               ORDER BY priority, run_at LIMIT $1)
         ), at_work AS (
             SELECT queue FROM queue.jobs WHERE state = 'running' ORDER BY worker_id LIMIT $1
         ), counted AS (
             SELECT queue, count(*) AS available, 0 AS running, min(run_at) AS oldest FROM waiting GROUP BY queue
              UNION ALL
             SELECT queue, 0, count(*), NULL FROM at_work GROUP BY queue
              UNION ALL
             SELECT name, 0, 0, NULL FROM queue.queues
         )
         SELECT counted.queue::text AS name, q.paused_at, min(oldest) AS oldest_run_at,
                LEAST(sum(available)::bigint, $1) AS available, sum(running)::bigint AS running
           FROM counted LEFT JOIN queue.queues AS q ON q.name = counted.queue
          GROUP BY counted.queue, q.name
          ORDER BY counted.queue",
    )
    .bind(COUNT_LIMIT)
    .fetch_all(&mut *tx)
    .await?;
    // Nothing was written, and the caller's setting comes back.
    tx.rollback().await?;
    Ok(views)
}
