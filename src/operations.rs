//! Operators' actions on jobs, shared by the API and the command line.

use std::sync::Arc;

use bedel_jobs::lecture::retry::{self as lecture_retry, Retried as LectureRetried};
use bedel_jobs::pipeline::is_stage;
use bedel_jobs::{Environment, Settings};
use bedel_queue::inspect::{self, JobState};
use bedel_queue::{Registry, Retried};
use sqlx::PgConnection;
use uuid::Uuid;

/// Outcome of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobRetried {
    /// This job is due now. It may differ from the one named.
    Due(Uuid),
    /// There is no such job.
    NotFound,
    /// It runs or is completed, or another live job does its work.
    Refused,
    /// The job is a stage of this lecture, which is removed, running or completed.
    LectureRefused(Uuid, LectureRetried),
}

/// Makes a job due. A stage is retried through its lecture: a lecture must not stay `failed` while a job
/// works for it.
///
/// # Errors
/// If the database refuses a statement.
pub async fn retry_job(
    tx: &mut PgConnection,
    settings: &Settings,
    id: Uuid,
) -> Result<JobRetried, sqlx::Error> {
    let Some(job) = inspect::job(tx, id).await? else { return Ok(JobRetried::NotFound) };
    if let Some(lecture_id) = job.subject.filter(|_| is_stage(&job.kind)) {
        if matches!(job.state, JobState::Running | JobState::Completed) {
            return Ok(JobRetried::Refused);
        }
        return Ok(match lecture_retry::retry(tx, settings, None, lecture_id).await? {
            LectureRetried::Due(job_id) => JobRetried::Due(job_id),
            refused => JobRetried::LectureRefused(lecture_id, refused),
        });
    }
    Ok(match bedel_queue::retry(tx, id).await? {
        Retried::Now => JobRetried::Due(id),
        Retried::NotFound => JobRetried::NotFound,
        Retried::Refused => JobRetried::Refused,
    })
}

/// Outcome of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobCancelled {
    /// It is cancelled; a running attempt stops soon.
    Cancelled,
    /// There is no such job.
    NotFound,
    /// It ended before.
    Final,
}

/// Cancels a job and runs its kind's hook.
///
/// # Errors
/// If the database refuses a statement.
pub async fn cancel_job(
    tx: &mut PgConnection,
    registry: &Registry<Arc<Environment>>,
    id: Uuid,
    reason: &str,
) -> Result<JobCancelled, sqlx::Error> {
    if registry.cancel(tx, id, reason).await?.is_some() {
        return Ok(JobCancelled::Cancelled);
    }
    let exists = inspect::job(tx, id).await?.is_some();
    Ok(if exists { JobCancelled::Final } else { JobCancelled::NotFound })
}
