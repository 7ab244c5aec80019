//! What the queue holds about a lecture at one moment.

use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// A job of the lecture. Times are in seconds since the submission, by the database's clock.
#[derive(Debug, Clone, FromRow)]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub attempt: i32,
    pub errors: i32,
    pub crashes: i32,
    pub worker: Option<String>,
    pub reason: Option<String>,
    pub created: f64,
    pub due: f64,
    pub started: Option<f64>,
    pub ended: Option<f64>,
}

/// A failed attempt of a job.
#[derive(Debug, Clone, FromRow)]
pub struct Failure {
    pub job_id: Uuid,
    pub kind: String,
    pub attempt: i32,
    pub at: f64,
    pub worker: Option<String>,
    pub class: String,
    pub message: String,
}

/// The lecture's jobs and failed attempts.
#[derive(Debug, Default)]
pub struct QueueSnapshot {
    /// Seconds since the submission.
    pub now: f64,
    /// In order of enqueueing.
    pub jobs: Vec<Job>,
    /// In order of time.
    pub failures: Vec<Failure>,
}

impl QueueSnapshot {
    /// Reads the snapshot of one lecture.
    pub async fn read(pool: &PgPool, lecture: Uuid) -> Result<Self, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let jobs = sqlx::query_as(
            "-- demo::jobs
             SELECT job.id, kind, state::text AS state, attempt, errors, crashes, worker, reason,
                    extract(epoch FROM job.created_at - lecture.created_at)::float8 AS created,
                    extract(epoch FROM run_at - lecture.created_at)::float8 AS due,
                    extract(epoch FROM attempted_at - lecture.created_at)::float8 AS started,
                    extract(epoch FROM finalized_at - lecture.created_at)::float8 AS ended
             FROM queue.jobs AS job JOIN lectures AS lecture ON lecture.id = subject
             WHERE subject = $1 ORDER BY job.id",
        )
        .bind(lecture)
        .fetch_all(&mut *connection)
        .await?;
        let failures = sqlx::query_as(
            "-- demo::failures
             SELECT job_id, kind, failed.attempt, failed.worker, class, message,
                    extract(epoch FROM failed_at - lecture.created_at)::float8 AS at
             FROM queue.jobs AS job
             JOIN lectures AS lecture ON lecture.id = subject
             JOIN queue.failed_attempts AS failed ON failed.job_id = job.id
             WHERE subject = $1 ORDER BY failed_at",
        )
        .bind(lecture)
        .fetch_all(&mut *connection)
        .await?;
        let now = sqlx::query_scalar(
            "-- demo::now
             SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM lectures WHERE id = $1",
        )
        .bind(lecture)
        .fetch_one(&mut *connection)
        .await?;
        Ok(Self { now, jobs, failures })
    }

    /// The lecture's job of this kind, if it exists yet.
    pub fn job(&self, kind: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.kind == kind)
    }
}
