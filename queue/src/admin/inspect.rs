//! Reading jobs: one call returns a job with its failed attempts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// `queue.job_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize)]
#[sqlx(type_name = "queue.job_state", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for a worker, from `run_at` on.
    Available,
    /// An attempt is running.
    Running,
    /// Done.
    Completed,
    /// Out of budget, out of time, or a fatal error.
    Discarded,
    /// Stopped by a person or a deletion.
    Cancelled,
}

impl std::str::FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "available" => Ok(Self::Available),
            "running" => Ok(Self::Running),
            "completed" => Ok(Self::Completed),
            "discarded" => Ok(Self::Discarded),
            "cancelled" => Ok(Self::Cancelled),
            _ => Err(format!("`{text}` is no state: available, running, completed, discarded, cancelled")),
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Available => "available",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A job, for people.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the columns of queue.jobs, explained in its migration")]
pub struct JobView {
    pub id: Uuid,
    pub kind: String,
    pub queue: String,
    pub state: JobState,
    pub priority: i16,
    pub args: Value,
    pub subject: Option<Uuid>,
    pub attempt: i32,
    pub errors: i32,
    pub crashes: i32,
    pub max_attempts: i32,
    pub max_crashes: i32,
    pub created_at: DateTime<Utc>,
    pub run_at: DateTime<Utc>,
    pub give_up_at: DateTime<Utc>,
    pub attempted_at: Option<DateTime<Utc>>,
    pub finalized_at: Option<DateTime<Utc>>,
    pub worker: Option<String>,
    pub progress: Option<f32>,
    pub reason: Option<String>,
    pub result: Option<Value>,
    /// Oldest first; only [`job`] fills it.
    #[sqlx(default, json)]
    pub failures: Vec<FailedAttempt>,
}

/// One failed attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of queue.failed_attempts, explained in its migration")]
pub struct FailedAttempt {
    pub attempt: i32,
    pub failed_at: DateTime<Utc>,
    pub worker: Option<String>,
    pub class: String,
    pub message: String,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this state.
    pub state: Option<JobState>,
    /// Only this subject.
    pub subject: Option<Uuid>,
    /// Only jobs after this one in the list: the last job of the previous page.
    pub after: Option<Uuid>,
    /// Most jobs to return.
    pub limit: i64,
}

/// The job with its failed attempts, in one snapshot. None if it does not exist.
///
/// # Errors
/// If the database is away.
pub async fn job(connection: &mut PgConnection, id: Uuid) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as(
        "-- inspect::job
         SELECT job.*,
                (SELECT COALESCE(jsonb_agg(to_jsonb(failed) ORDER BY attempt), '[]')
                   FROM queue.failed_attempts AS failed WHERE job_id = job.id) AS failures
           FROM queue.jobs AS job WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// The live job of a subject.
///
/// # Errors
/// If the database is away.
pub async fn live_job(connection: &mut PgConnection, subject: Uuid) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as(
        "-- inspect::live_job
         SELECT * FROM queue.jobs
          WHERE subject = $1 AND state IN ('available', 'running')
          ORDER BY id DESC LIMIT 1",
    )
    .bind(subject)
    .fetch_optional(connection)
    .await
}

/// Most jobs that a list reads: a filter with few matches must not walk the whole table.
const SCAN_LIMIT: i64 = 10_000;

/// Jobs, newest first, without their failed attempts. With a subject: all of its jobs. Running jobs: all that run. A final state:
/// the jobs that ended last. Otherwise: the jobs enqueued last. Each list reads at most 10,000 jobs.
///
/// # Errors
/// If the database is away.
pub async fn list(connection: &mut PgConnection, filter: &Filter) -> Result<Vec<JobView>, sqlx::Error> {
    let is_final =
        matches!(filter.state, Some(JobState::Completed | JobState::Discarded | JobState::Cancelled));
    if is_final && filter.subject.is_none() {
        return list_ended(connection, filter).await;
    }
    let query = if filter.subject.is_some() {
        "-- inspect::list_of_subject
         SELECT * FROM (SELECT * FROM queue.jobs
                         WHERE subject = $1 AND id < coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                         ORDER BY id DESC LIMIT $5) AS looked_at
          WHERE ($2::text IS NULL OR kind = $2) AND ($3::queue.job_state IS NULL OR state = $3)
          ORDER BY id DESC LIMIT $4"
    } else if filter.state == Some(JobState::Running) {
        "-- inspect::list_running
         SELECT * FROM queue.jobs
          WHERE $1::uuid IS NULL AND state = 'running' AND state = $3 AND ($2::text IS NULL OR kind = $2)
            AND id < coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
          ORDER BY id DESC LIMIT least($4::bigint, $5::bigint)"
    } else {
        "-- inspect::list
         SELECT * FROM (SELECT * FROM queue.jobs
                         WHERE $1::uuid IS NULL AND id < coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                         ORDER BY id DESC LIMIT $5) AS looked_at
          WHERE ($2::text IS NULL OR kind = $2) AND ($3::queue.job_state IS NULL OR state = $3)
          ORDER BY id DESC LIMIT $4"
    };
    sqlx::query_as(query)
        .bind(filter.subject)
        .bind(&filter.kind)
        .bind(filter.state)
        .bind(filter.limit)
        .bind(SCAN_LIMIT)
        .bind(filter.after)
        .fetch_all(connection)
        .await
}

/// Sorted by end. The end of the previous page's last job is read first: inside the statement the planner would estimate it and
/// sort the table.
async fn list_ended(connection: &mut PgConnection, filter: &Filter) -> Result<Vec<JobView>, sqlx::Error> {
    let until: Option<DateTime<Utc>> = match filter.after {
        None => None,
        Some(id) => {
            let ended: Option<Option<DateTime<Utc>>> =
                sqlx::query_scalar("-- inspect::ended_at\nSELECT finalized_at FROM queue.jobs WHERE id = $1")
                    .bind(id)
                    .fetch_optional(&mut *connection)
                    .await?;
            // A deleted job ended before all remaining ones.
            let Some(ended) = ended.flatten() else { return Ok(Vec::new()) };
            Some(ended)
        }
    };
    sqlx::query_as(include_str!("../../sql/list_ended.sql"))
        .bind(filter.state)
        .bind(until)
        .bind(filter.after)
        .bind(&filter.kind)
        .bind(filter.limit)
        .bind(SCAN_LIMIT)
        .fetch_all(connection)
        .await
}
