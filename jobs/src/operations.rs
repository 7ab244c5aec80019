//! Operators' actions on single jobs and queues, for the API, the pages and the command line. Each is recorded in
//! the audit log, in the same transaction.

use bedel_queue::inspect::{self, JobState};
use bedel_queue::{Enqueued, NewJob, Registry, Retried, enqueue};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::audit::{self, Action, Actor};
use crate::environment::{Context, Settings};
use crate::lecture::retry::{self as lecture_retry, Retried as LectureRetried};
use crate::pipeline::is_stage;

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
/// works for it. Wake the workers after the commit.
///
/// # Errors
/// If the database refuses a statement.
pub async fn retry_job(
    tx: &mut PgConnection,
    settings: &Settings,
    id: Uuid,
    by: Actor,
) -> Result<JobRetried, sqlx::Error> {
    let retried = retry_unrecorded(tx, settings, id).await?;
    if let JobRetried::Due(due) = retried {
        let detail = if due == id { json!({}) } else { json!({ "job_id": due }) };
        audit::record(tx, by, Action::RetryJob, Some(&id.to_string()), 1, detail).await?;
    }
    Ok(retried)
}

/// As [`retry_job`], for a caller that records it otherwise.
pub(crate) async fn retry_unrecorded(
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

/// Cancels a job and runs its kind's hook. Wake the workers and announce the cancellation after the commit.
///
/// # Errors
/// If the database refuses a statement.
pub async fn cancel_job(
    tx: &mut PgConnection,
    registry: &Registry<Context>,
    id: Uuid,
    reason: &str,
    by: Actor,
) -> Result<JobCancelled, sqlx::Error> {
    if registry.cancel(tx, id, reason).await?.is_some() {
        let detail = json!({ "reason": reason });
        audit::record(tx, by, Action::CancelJob, Some(&id.to_string()), 1, detail).await?;
        return Ok(JobCancelled::Cancelled);
    }
    let exists = inspect::job(tx, id).await?.is_some();
    Ok(if exists { JobCancelled::Final } else { JobCancelled::NotFound })
}

/// Enqueues a job by hand. Wake the workers after the commit.
///
/// # Errors
/// If the database refuses a statement.
pub async fn enqueue_job(
    tx: &mut PgConnection,
    kind: &str,
    job: &NewJob,
    by: Actor,
) -> Result<Enqueued, sqlx::Error> {
    add(tx, job, by, Action::EnqueueJob, json!({ "kind": kind })).await
}

/// Enqueues the job of a schedule, between its ticks. Wake the workers after the commit.
///
/// # Errors
/// If the database refuses a statement.
pub async fn run_schedule(
    tx: &mut PgConnection,
    name: &str,
    job: &NewJob,
    by: Actor,
) -> Result<Enqueued, sqlx::Error> {
    add(tx, job, by, Action::RunSchedule, json!({ "schedule": name })).await
}

async fn add(
    tx: &mut PgConnection,
    job: &NewJob,
    by: Actor,
    action: Action,
    detail: Value,
) -> Result<Enqueued, sqlx::Error> {
    let enqueued = enqueue(tx, job).await?;
    let count = i64::from(enqueued.created);
    audit::record(tx, by, action, Some(&enqueued.id.to_string()), count, detail).await?;
    Ok(enqueued)
}

/// Pauses a queue.
///
/// # Errors
/// If the database refuses a statement.
pub async fn pause_queue(tx: &mut PgConnection, queue: &str, by: Actor) -> Result<(), sqlx::Error> {
    bedel_queue::pause(tx, queue).await?;
    audit::record(tx, by, Action::PauseQueue, Some(queue), 0, json!({})).await
}

/// Resumes a queue and wakes the workers, both when the transaction commits.
///
/// # Errors
/// If the database refuses a statement.
pub async fn resume_queue(tx: &mut PgConnection, queue: &str, by: Actor) -> Result<(), sqlx::Error> {
    bedel_queue::resume(tx, queue).await?;
    audit::record(tx, by, Action::ResumeQueue, Some(queue), 0, json!({})).await
}
