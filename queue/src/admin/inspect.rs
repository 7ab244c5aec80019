//! Reading jobs: one call returns a job with its failed attempts, one a page of jobs that match a filter.

mod filter;
mod list;
mod view;
mod walk;

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use view::with_columns;

pub use filter::Filter;
pub use list::{Count, count, list};
pub use view::{FailedAttempt, JobState, JobView};
pub use walk::{Step, Walked, walk};

static JOB: LazyLock<String> = LazyLock::new(|| with_columns(include_str!("../../sql/job.sql")));
static LIVE_JOB: LazyLock<String> = LazyLock::new(|| with_columns(include_str!("../../sql/live_job.sql")));
static BEFORE: LazyLock<String> = LazyLock::new(|| with_columns(include_str!("../../sql/jobs_before.sql")));
static AFTER: LazyLock<String> = LazyLock::new(|| with_columns(include_str!("../../sql/jobs_after.sql")));

/// The job with its failed attempts, in one snapshot. None if it does not exist.
///
/// # Errors
/// If the database is away.
pub async fn job(connection: &mut PgConnection, id: Uuid) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(JOB.as_str())).bind(id).fetch_optional(connection).await
}

/// The live job of a subject.
///
/// # Errors
/// If the database is away.
pub async fn live_job(connection: &mut PgConnection, subject: Uuid) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(LIVE_JOB.as_str())).bind(subject).fetch_optional(connection).await
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
    let before = sqlx::query_as(AssertSqlSafe(BEFORE.as_str()))
        .bind(subject)
        .bind(job_id)
        .bind(limit)
        .fetch_all(&mut *connection)
        .await?;
    let after = sqlx::query_as(AssertSqlSafe(AFTER.as_str()))
        .bind(subject)
        .bind(job_id)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    Ok(Chain { before, after })
}
