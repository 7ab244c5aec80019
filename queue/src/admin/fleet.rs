//! Workers, schedules and queue depths, for operators and monitors.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Acquire, AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::counting::{COUNT_LIMIT, disable_jit};
use crate::claim::claimable::expand;
use crate::column::{OptionalTime, Timestamp};

static DEPTHS: LazyLock<String> = LazyLock::new(|| expand(include_str!("../../sql/depths.sql")));

/// One worker process.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
#[non_exhaustive]
pub struct WorkerView {
    /// Fresh at each process start.
    pub id: Uuid,
    /// Its host and process id.
    pub name: String,
    /// When it started.
    #[sqlx(try_from = "Timestamp")]
    pub started_at: DateTime<Utc>,
    /// Seconds since its last heartbeat, by the database's clock.
    pub silent_seconds: f64,
    /// Its running jobs.
    pub running: i64,
}

/// The workers not found dead, the oldest first.
///
/// # Errors
/// If the database is away.
pub async fn workers(connection: &mut PgConnection) -> Result<Vec<WorkerView>, sqlx::Error> {
    sqlx::query_as(
        "-- fleet::workers
         SELECT worker.id, worker.name, worker.started_at,
                extract(epoch FROM now() - least(greatest(worker.beat_at, '0001-01-01 00:00Z'), '9999-12-31 00:00Z'))::float8 AS silent_seconds,
                COALESCE(busy.running, 0) AS running
           FROM queue.workers AS worker
           LEFT JOIN (SELECT worker_id, count(*) AS running FROM queue.jobs WHERE state = 'running' GROUP BY worker_id)
                AS busy ON busy.worker_id = worker.id
          ORDER BY worker.started_at, worker.id",
    )
    .fetch_all(connection)
    .await
}

/// One cron job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[non_exhaustive]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// Its cron expression, as last registered.
    pub cron: String,
    /// The last tick, UTC. Before the first: the time of its registration.
    #[sqlx(try_from = "Timestamp")]
    pub last_tick: DateTime<Utc>,
    /// The job of the last tick that was enqueued.
    pub last_job: Option<Uuid>,
    /// Ticks skipped because the previous run was still live or the tick was missed.
    pub skipped: i64,
    /// The latest skipped tick.
    #[sqlx(try_from = "OptionalTime")]
    pub last_skipped: Option<DateTime<Utc>>,
}

/// All cron jobs ever registered, by name.
///
/// # Errors
/// If the database is away.
pub async fn schedules(connection: &mut PgConnection) -> Result<Vec<ScheduleView>, sqlx::Error> {
    sqlx::query_as(
        "-- fleet::schedules
         SELECT name, cron, last_tick, last_job, skipped, last_skipped FROM queue.schedules ORDER BY name",
    )
    .fetch_all(connection)
    .await
}

/// Job counts of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
#[non_exhaustive]
pub struct Depth {
    /// The kind.
    pub kind: String,
    /// Due jobs; [`COUNT_LIMIT`] means that many or more, here and below.
    pub due: i64,
    /// Jobs not due yet: scheduled for later, or between two attempts.
    pub scheduled: i64,
    /// Running jobs.
    pub running: i64,
    /// Seconds that the oldest due job has waited; 0 if none is due.
    pub oldest_seconds: f64,
    /// Waiting jobs with a failed or crashed attempt since they were enqueued or retried by hand.
    pub failing: i64,
}

/// Job counts of these kinds, in their order. No table is scanned: at most [`COUNT_LIMIT`] jobs per kind and
/// priority (and as many with a group, and suspects) are read.
///
/// # Errors
/// If the database is away.
pub async fn depths(connection: &mut PgConnection, kinds: &[&str]) -> Result<Vec<Depth>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    disable_jit(&mut tx).await?;
    let depths = read_depths(&mut tx, kinds).await?;
    tx.rollback().await?;
    Ok(depths)
}

/// As [`depths`], in a transaction without `jit`.
pub(super) async fn read_depths(tx: &mut PgConnection, kinds: &[&str]) -> Result<Vec<Depth>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(DEPTHS.as_str()))
        .bind(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>())
        .bind(COUNT_LIMIT)
        .fetch_all(tx)
        .await
}
