//! A claimed job.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::column::{JsonText, Timestamp};

/// A job that was just claimed.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    /// Parsed when the job is delivered: args that cannot be read must not fail the claim.
    pub(crate) args: JsonText,
    pub(crate) subject: Option<Uuid>,
    pub(crate) lease: Uuid,
    pub(crate) priority: i16,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: i32,
    pub(crate) errors: i32,
    pub(crate) crashes: i32,
    pub(crate) max_attempts: i32,
    /// None also if it cannot be read.
    pub(crate) checkpoint: Option<Value>,
    /// Time of this claim.
    pub(crate) attempted_at: DateTime<Utc>,
    pub(crate) created_at: Timestamp,
    pub(crate) group_key: Option<String>,
    /// The last error of its group, if the job's time is up while the group's breaker is open. Such a job
    /// does not run.
    pub(crate) group_error: Option<String>,
    /// True if the job crashed too often or too late: it is discarded without a run.
    pub(crate) spent: bool,
}

impl Claimed {
    /// True if the job runs and must do so alone.
    pub(crate) fn is_suspect(&self) -> bool {
        self.crashes > 0 && !self.spent && self.group_error.is_none()
    }
}

/// By position: thousands of rows arrive per second, and a lookup by name in each would be slower.
impl FromRow<'_, PgRow> for Claimed {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            kind: row.try_get(1)?,
            args: row.try_get(2)?,
            subject: row.try_get(3)?,
            lease: row.try_get(4)?,
            priority: row.try_get(5)?,
            run_at: row.try_get(6)?,
            attempt: row.try_get(7)?,
            errors: row.try_get(8)?,
            crashes: row.try_get(9)?,
            max_attempts: row.try_get(10)?,
            checkpoint: row
                .try_get::<Option<JsonText>, _>(11)?
                .and_then(|text| serde_json::from_str(&text.0).ok()),
            attempted_at: row.try_get(12)?,
            created_at: row.try_get(13)?,
            group_key: row.try_get(14)?,
            group_error: row.try_get(15)?,
            spent: row.try_get(16)?,
        })
    }
}
