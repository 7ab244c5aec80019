//! A job in an answer.

use bedel_jobs::lecture;
use bedel_queue::inspect::{FailedAttempt, JobState, JobView};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A job. Its args and result hold ids and counts, never credentials.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobBody {
    id: Uuid,
    /// `submit`, `download`, `probe`, `transcribe`, `cleanup-orphans`, `course-sync`, `index-transcripts` or
    /// `bulk-jobs`.
    kind: String,
    /// The queue, which can be paused.
    queue: String,
    #[schema(value_type = JobStateName)]
    state: JobState,
    /// 1 (first) to 4 (last).
    priority: i16,
    /// A text if they hold a number or a nesting that this program cannot read.
    #[schema(value_type = Object)]
    args: Value,
    /// The job's lecture; of `bulk-jobs` the operation.
    subject: Option<Uuid>,
    /// Number of claims.
    attempt: i32,
    errors: i32,
    crashes: i32,
    max_attempts: i32,
    max_crashes: i32,
    created_at: DateTime<Utc>,
    /// Earliest start.
    run_at: DateTime<Utc>,
    /// No waiting and no retry beyond this time.
    give_up_at: DateTime<Utc>,
    attempted_at: Option<DateTime<Utc>>,
    finalized_at: Option<DateTime<Utc>>,
    worker: Option<String>,
    /// 0 to 1.
    progress: Option<f32>,
    /// Why it failed, or why it will be retried. In lists, for admins only.
    reason: Option<String>,
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// Failed attempts, oldest first; empty in lists.
    failures: Vec<FailureBody>,
}

/// State of a job. Describes the queue's own type, which has no schema.
#[derive(ToSchema)]
#[schema(as = JobState, rename_all = "lowercase")]
#[expect(dead_code, reason = "schema only, for a type of the queue")]
pub(super) enum JobStateName {
    Available,
    Running,
    Completed,
    Discarded,
    Cancelled,
    /// Of a later version; no filter.
    Unknown,
}

/// A failed attempt.
#[derive(Serialize, ToSchema)]
struct FailureBody {
    attempt: i32,
    failed_at: DateTime<Utc>,
    worker: Option<String>,
    /// Stable error class.
    class: String,
    message: String,
}

impl From<JobView> for JobBody {
    fn from(job: JobView) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            queue: job.queue,
            state: job.state,
            priority: job.priority,
            args: job.args,
            subject: job.subject,
            attempt: job.attempt,
            errors: job.errors,
            crashes: job.crashes,
            max_attempts: job.max_attempts,
            max_crashes: job.max_crashes,
            created_at: job.created_at,
            run_at: job.run_at,
            give_up_at: job.give_up_at,
            attempted_at: job.attempted_at,
            finalized_at: job.finalized_at,
            worker: job.worker,
            progress: job.progress,
            reason: job.reason,
            result: job.result,
            failures: job.failures.into_iter().map(FailureBody::from).collect(),
        }
    }
}

impl JobBody {
    /// For the lecture's users: hides what only operators need.
    pub(super) fn for_people(mut self) -> Self {
        self.worker = None;
        for failure in &mut self.failures {
            failure.worker = None;
            failure.message = lecture::student_message(&failure.class, &failure.message);
        }
        // A failed or retrying job shows the message of its latest failure as its reason.
        if !matches!(self.state, JobState::Completed | JobState::Cancelled) {
            self.reason = self.reason.and(self.failures.last().map(|last| last.message.clone()));
        }
        self
    }
}

impl From<FailedAttempt> for FailureBody {
    fn from(failed: FailedAttempt) -> Self {
        let FailedAttempt { attempt, failed_at, worker, class, message } = failed;
        Self { attempt, failed_at, worker, class, message }
    }
}
