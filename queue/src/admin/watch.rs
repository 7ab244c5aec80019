//! Reads what many open pages watch, in one statement: some jobs, and whether anything in the queue changed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::counting::COUNT_LIMIT;
use super::inspect::JobState;
use crate::column::OptionalTime;

/// A watched job. Two that are equal look the same on a page.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedJob {
    /// The job.
    pub id: Uuid,
    /// Its state.
    pub state: JobState,
    /// Its claims so far.
    pub attempt: i32,
    /// Its failed attempts so far.
    pub errors: i32,
    /// Its earliest next claim.
    pub run_at: DateTime<Utc>,
    /// Progress of the running attempt, 0 to 1.
    pub progress: Option<f32>,
}

/// Facts that change whenever a list of jobs, queues or workers does.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Pulse {
    /// The newest job.
    pub newest: Option<Uuid>,
    /// Running jobs, up to [`COUNT_LIMIT`].
    pub running: i64,
    /// When a job last ended.
    #[sqlx(try_from = "OptionalTime")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Sum of the progress of these jobs, in thousandths.
    pub progress_sum: i64,
    /// Worker processes.
    pub workers: i64,
    /// When a queue was last paused or resumed.
    #[sqlx(try_from = "OptionalTime")]
    pub paused_at: Option<DateTime<Utc>>,
    /// When a host last failed.
    #[sqlx(try_from = "OptionalTime")]
    pub failed_at: Option<DateTime<Utc>>,
}

impl Pulse {
    /// True if more than the progress of running jobs differs.
    #[must_use]
    pub fn differs_in_events(&self, other: &Self) -> bool {
        Self { progress_sum: 0, ..self.clone() } != Self { progress_sum: 0, ..other.clone() }
    }
}

/// A row: the pulse, and one watched job if there is any.
#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    pulse: Pulse,
    id: Option<Uuid>,
    state: Option<JobState>,
    attempt: Option<i32>,
    errors: Option<i32>,
    #[sqlx(try_from = "OptionalTime")]
    run_at: Option<DateTime<Utc>>,
    progress: Option<f32>,
}

/// Reads the jobs with these ids and the pulse.
///
/// # Errors
/// If the database is away.
pub async fn watch(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<(Vec<WatchedJob>, Pulse), sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "-- watch::watch
         SELECT pulse.*, job.id, job.state, job.attempt::int AS attempt, job.errors::int AS errors, job.run_at,
                job.progress::real AS progress
           FROM (SELECT (SELECT id FROM queue.jobs ORDER BY id DESC LIMIT 1) AS newest,
                        (SELECT count(*) FROM (SELECT FROM queue.jobs WHERE state = 'running' LIMIT $2) AS listed) AS running,
                        (SELECT coalesce(sum((listed.progress * 1000)::bigint), 0)::bigint
                           FROM (SELECT progress FROM queue.jobs WHERE state = 'running' LIMIT $2) AS listed) AS progress_sum,
                        greatest((SELECT max(finalized_at) FROM queue.jobs WHERE state = 'completed' AND finalized_at IS NOT NULL),
                                 (SELECT max(finalized_at) FROM queue.jobs WHERE state = 'discarded' AND finalized_at IS NOT NULL),
                                 (SELECT max(finalized_at) FROM queue.jobs WHERE state = 'cancelled' AND finalized_at IS NOT NULL))
                            AS ended_at,
                        (SELECT count(*) FROM queue.workers) AS workers,
                        (SELECT max(changed_at) FROM queue.queues) AS paused_at,
                        (SELECT max(failed_at) FROM queue.breakers) AS failed_at) AS pulse
           LEFT JOIN queue.jobs AS job ON job.id = ANY ($1)",
    )
    .bind(ids)
    .bind(COUNT_LIMIT)
    .fetch_all(connection)
    .await?;
    let pulse = rows.first().map(|row| row.pulse.clone()).unwrap_or_default();
    let jobs = rows.into_iter().filter_map(|row| {
        Some(WatchedJob {
            id: row.id?,
            state: row.state?,
            attempt: row.attempt?,
            errors: row.errors?,
            run_at: row.run_at?,
            progress: row.progress,
        })
    });
    Ok((jobs.collect(), pulse))
}
