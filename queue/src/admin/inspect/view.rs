//! A job as operators see it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::Uuid;

use crate::column::{JsonText, OptionalJson, OptionalTime, Timestamp, time_in_json};

/// `queue.job_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A state of a later version. No filter has it.
    #[serde(skip_deserializing)]
    Unknown,
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
        f.pad(self.name())
    }
}

impl JobState {
    fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

impl Type<Postgres> for JobState {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("queue.job_state")
    }
}

impl Decode<'_, Postgres> for JobState {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(value.as_str()?.parse().unwrap_or(Self::Unknown))
    }
}

impl Encode<'_, Postgres> for JobState {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <&str as Encode<Postgres>>::encode(self.name(), buffer)
    }
}

/// The columns of a [`JobView`], of `queue.jobs AS job`. Named: with `*`, a later migration's column would fail
/// every statement that a running program has prepared.
const COLUMNS: &str = include_str!("../../../sql/terms/columns.sql");

/// The statement with the columns of a [`JobView`].
pub(super) fn with_columns(statement: &str) -> String {
    statement.replace("{columns}", COLUMNS.trim_end())
}

/// A job, for people. Times outside the years 1 to 9999 are the nearest within.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the columns of queue.jobs, explained in its migration")]
pub struct JobView {
    pub id: Uuid,
    pub kind: String,
    pub queue: String,
    pub state: JobState,
    pub priority: i16,
    /// A text if it cannot be read.
    #[sqlx(try_from = "JsonText")]
    pub args: Value,
    pub subject: Option<Uuid>,
    pub attempt: i32,
    pub errors: i32,
    pub crashes: i32,
    pub max_attempts: i32,
    pub max_crashes: i32,
    #[sqlx(try_from = "Timestamp")]
    pub created_at: DateTime<Utc>,
    #[sqlx(try_from = "Timestamp")]
    pub run_at: DateTime<Utc>,
    #[sqlx(try_from = "Timestamp")]
    pub give_up_at: DateTime<Utc>,
    #[sqlx(try_from = "OptionalTime")]
    pub attempted_at: Option<DateTime<Utc>>,
    #[sqlx(try_from = "OptionalTime")]
    pub finalized_at: Option<DateTime<Utc>>,
    pub worker: Option<String>,
    pub progress: Option<f32>,
    pub reason: Option<String>,
    #[sqlx(try_from = "OptionalJson")]
    pub checkpoint: Option<Value>,
    #[sqlx(try_from = "OptionalJson")]
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
    #[serde(deserialize_with = "time_in_json")]
    pub failed_at: DateTime<Utc>,
    pub worker: Option<String>,
    pub class: String,
    pub message: String,
}
