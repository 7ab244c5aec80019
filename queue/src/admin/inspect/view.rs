//! A job as operators see it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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

/// The columns of a [`JobView`], of `queue.jobs AS job`. Named: with `*`, a later migration's column would fail
/// every statement that a running program has prepared.
const COLUMNS: &str = include_str!("../../../sql/terms/columns.sql");

/// The statement with the columns of a [`JobView`].
pub(super) fn with_columns(statement: &str) -> String {
    statement.replace("{columns}", COLUMNS.trim_end())
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
    pub checkpoint: Option<Value>,
    pub result: Option<Value>,
    /// Oldest first; only [`job`](super::job) fills it.
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
