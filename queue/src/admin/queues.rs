//! Queues for operators: pause, resume and count.
//!
//! A queue is a name on jobs. It may be paused before its first job exists.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Acquire, AssertSqlSafe, PgConnection};

use super::counting::{COUNT_LIMIT, disable_jit};
use crate::claim::claimable::expand;
use crate::column::OptionalTime;
use crate::enqueue::wake_up::CHANNEL;

static QUEUES: LazyLock<String> = LazyLock::new(|| expand(include_str!("../../sql/queues.sql")));

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct QueueView {
    /// The queue name of its jobs.
    pub name: String,
    /// When it was paused. None if it is not paused.
    #[sqlx(try_from = "OptionalTime")]
    pub paused_at: Option<DateTime<Utc>>,
    /// Waiting jobs, including those scheduled for later; [`COUNT_LIMIT`] means that many or more.
    pub available: i64,
    /// Running jobs; [`COUNT_LIMIT`] means that many or more.
    pub running: i64,
    /// Earliest `run_at` of a waiting job: in the past if it is due, in the future if it is scheduled.
    #[sqlx(try_from = "OptionalTime")]
    pub oldest_run_at: Option<DateTime<Utc>>,
}

/// Pauses a queue for all workers once the transaction commits: no more of its jobs are claimed. Running
/// attempts continue, and so does enqueueing. Pausing twice keeps the first time.
///
/// A kind whose policy names a paused queue is not claimed at all, not even jobs that a producer put into
/// another queue.
///
/// # Errors
/// If the database is away.
pub async fn pause(tx: &mut PgConnection, queue: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- queues::pause
         INSERT INTO queue.queues AS q (name, paused_at) VALUES ($1, now())
         ON CONFLICT (name) DO UPDATE SET paused_at = now(), changed_at = now() WHERE q.paused_at IS NULL",
    )
    .bind(queue)
    .execute(tx)
    .await?;
    Ok(())
}

/// Resumes a queue and wakes the workers, both when the transaction commits. Does nothing if the queue is not
/// paused.
///
/// # Errors
/// If the database is away.
pub async fn resume(tx: &mut PgConnection, queue: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- queues::resume
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

/// The queues that have a live job or were ever paused, by name.
///
/// No table is scanned. Index lookups find the waiting kinds one after another, and count at most
/// [`COUNT_LIMIT`] jobs of each per priority (and as many with a group). If a kind has more jobs in several
/// queues, some are missing from the counts.
///
/// # Errors
/// If the database is away.
pub async fn queues(connection: &mut PgConnection) -> Result<Vec<QueueView>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    disable_jit(&mut tx).await?;
    let views = read_queues(&mut tx).await?;
    // Nothing was written; the rollback restores the caller's setting.
    tx.rollback().await?;
    Ok(views)
}

/// As [`queues`], in a transaction without `jit`.
pub(super) async fn read_queues(tx: &mut PgConnection) -> Result<Vec<QueueView>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(QUEUES.as_str())).bind(COUNT_LIMIT).fetch_all(tx).await
}
