//! Reading jobs: one call returns a job with its failed attempts, one a page of jobs that match a filter.

mod filter;
mod list;
mod view;
mod walk;

use sqlx::PgConnection;
use uuid::Uuid;

pub use filter::Filter;
pub use list::{Count, count, list};
pub use view::{FailedAttempt, JobState, JobView};
pub use walk::{Step, Walked, walk};

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

/// The jobs of a job's subject around it.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// Enqueued before it, newest first.
    pub before: Vec<JobView>,
    /// Enqueued after it, oldest first.
    pub after: Vec<JobView>,
}

/// The jobs of `subject` enqueued before and after a job, the nearest first: at most `limit` each, without
/// their failed attempts.
///
/// # Errors
/// If the database is away.
pub async fn chain(
    connection: &mut PgConnection,
    subject: Uuid,
    job_id: Uuid,
    limit: i64,
) -> Result<Chain, sqlx::Error> {
    let before = sqlx::query_as(
        "-- inspect::before
         SELECT * FROM queue.jobs WHERE subject = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(subject)
    .bind(job_id)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let after = sqlx::query_as(
        "-- inspect::after
         SELECT * FROM queue.jobs WHERE subject = $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(subject)
    .bind(job_id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(Chain { before, after })
}
