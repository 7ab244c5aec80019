//! The fleet as operators and monitors see it: the workers, the schedules, and how much of each kind there is.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use crate::pause::{COUNT_LIMIT, plain_plans};

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

/// How much of one kind there is.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Depth {
    /// The kind.
    pub kind: String,
    /// Waiting jobs that are due; [`COUNT_LIMIT`] means that many or more, here and below.
    pub due: i64,
    /// Waiting jobs that are not due yet: scheduled for later, or between two attempts.
    pub scheduled: i64,
    /// Running jobs.
    pub running: i64,
    /// Seconds for which the oldest due job has waited; 0 where none is due.
    pub oldest_seconds: f64,
}

/// How much there is of these kinds, in their order. No table is walked: of each kind at most [`COUNT_LIMIT`] jobs per priority
/// (and as many with a group, and suspects) are looked at.
///
/// # Errors
/// The database's.
pub async fn depths(connection: &mut PgConnection, kinds: &[&str]) -> Result<Vec<Depth>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    plain_plans(&mut tx).await?;
    let depths = sqlx::query_as(
        "-- fleet::depths
         SELECT kinds.kind,
                least(waiting.due, $2) AS due, least(waiting.scheduled, $2) AS scheduled,
                least(COALESCE(busy.running, 0), $2) AS running,
                COALESCE(extract(epoch FROM now() - waiting.oldest), 0)::float8 AS oldest_seconds
           FROM unnest($1::text[]) WITH ORDINALITY AS kinds (kind, place)
          CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE run_at <= now()) AS due,
                       count(*) FILTER (WHERE run_at > now()) AS scheduled,
                       min(run_at) FILTER (WHERE run_at <= now()) AS oldest
                  FROM (SELECT single.run_at
                          FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
                         CROSS JOIN LATERAL (
                               SELECT run_at FROM queue.jobs AS job
                                WHERE job.kind = kinds.kind AND job.priority = p.priority
                                  AND state = 'available' AND crashes = 0 AND group_key IS NULL
                                ORDER BY run_at LIMIT $2
                         ) AS single
                        UNION ALL
                        (SELECT run_at FROM queue.jobs AS job
                          WHERE job.kind = kinds.kind AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                          ORDER BY group_key, priority, run_at LIMIT $2)
                        UNION ALL
                        SELECT run_at
                          FROM (SELECT kind, run_at FROM queue.jobs
                                 WHERE state = 'available' AND crashes > 0
                                 ORDER BY priority, run_at LIMIT $2) AS suspect
                         WHERE suspect.kind = kinds.kind) AS found
          ) AS waiting
           LEFT JOIN (SELECT kind, count(*) AS running FROM queue.jobs WHERE state = 'running' GROUP BY kind) AS busy
             ON busy.kind = kinds.kind
          ORDER BY kinds.place",
    )
    .bind(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>())
    .bind(COUNT_LIMIT)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(depths)
}
