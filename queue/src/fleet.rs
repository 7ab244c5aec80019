//! The workers and the schedules as operators see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// One worker process.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct WorkerView {
    /// New at each start of the process.
    pub id: Uuid,
    /// Its host and process number.
    pub name: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Seconds since its last heartbeat, by the database's clock.
    pub silent_seconds: f64,
    /// Jobs that it runs.
    pub running: i64,
}

/// The workers that live, or were not found dead yet, the longest-lived first.
///
/// # Errors
/// The database's.
pub async fn workers(connection: &mut PgConnection) -> Result<Vec<WorkerView>, sqlx::Error> {
    sqlx::query_as(
        "-- fleet::workers
         SELECT worker.id, worker.name, worker.started_at,
                extract(epoch FROM now() - worker.beat_at)::float8 AS silent_seconds,
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
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// Its cron expression, as the scheduler saw it last.
    pub cron: String,
    /// The last tick, UTC. At first the time of its registration.
    pub last_tick: DateTime<Utc>,
    /// The job of the last tick that was enqueued.
    pub last_job: Option<Uuid>,
    /// Ticks that were left out, since the run before was still live.
    pub skipped: i64,
    /// The latest of them.
    pub last_skipped: Option<DateTime<Utc>>,
}

/// The cron jobs that were ever registered, by name.
///
/// # Errors
/// The database's.
pub async fn schedules(connection: &mut PgConnection) -> Result<Vec<ScheduleView>, sqlx::Error> {
    sqlx::query_as(
        "-- fleet::schedules
         SELECT name, cron, last_tick, last_job, skipped, last_skipped FROM queue.schedules ORDER BY name",
    )
    .fetch_all(connection)
    .await
}
