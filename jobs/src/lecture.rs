//! A lecture's row: what the jobs read of it and the few ways they may change it.
//!
//! Lock order everywhere: the lecture first, then its job.

pub mod cancel;
pub mod list;
mod priority;
pub mod removal;
pub mod restart;
pub mod retry;
pub mod submission;
pub mod upload;
pub mod view;

use bedel_queue::{End, Failure, NewJob};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::environment::Settings;
use crate::kinds::CleanupOrphans;

/// The `stream_url` of a lecture whose recording a client uploaded: it cannot be fetched again.
pub const UPLOADED: &str = "audio_podcast";

/// `lectures.status`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[sqlx(type_name = "lecture_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum LectureStatus {
    /// Accepted.
    Pending,
    /// From the start of the download to the stored transcript.
    Downloading,
    /// The transcript is stored.
    Completed,
    /// `error_message` says why and what to do.
    Failed,
}

/// A text that is none of the states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the states of a lecture are pending, downloading, completed and failed")]
pub struct NoStatus;

impl std::str::FromStr for LectureStatus {
    type Err = NoStatus;

    fn from_str(text: &str) -> Result<Self, NoStatus> {
        match text {
            "pending" => Ok(Self::Pending),
            "downloading" => Ok(Self::Downloading),
            "completed" => Ok(Self::Completed),
            "failed" => Ok(Self::Failed),
            _ => Err(NoStatus),
        }
    }
}

/// One row of `lectures`.
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of docs/reference/database-schema.md, one by one")]
pub struct Lecture {
    pub id: Uuid,
    pub course_id: Uuid,
    pub panopto_session_id: Option<String>,
    pub panopto_url: String,
    /// Empty until resolved; `audio_podcast` marks an uploaded source.
    pub stream_url: String,
    pub title: Option<String>,
    pub audio_storage_key: Option<String>,
    pub transcript_storage_key: Option<String>,
    pub duration_seconds: Option<i32>,
    pub status: LectureStatus,
    pub error_message: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Reads the lecture without a lock. `None` where it was deleted.
///
/// # Errors
/// The database's.
pub async fn read(connection: &mut PgConnection, id: Uuid) -> Result<Option<Lecture>, sqlx::Error> {
    sqlx::query_as("-- lecture::read\nSELECT * FROM lectures WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await
}

/// Locks the lecture for the rest of the transaction and reads it. `None` where it was deleted.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut PgConnection, id: Uuid) -> Result<Option<Lecture>, sqlx::Error> {
    sqlx::query_as("-- lecture::lock\nSELECT * FROM lectures WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(tx)
        .await
}

/// Classes of errors after which the stored audio is of no use.
const AUDIO_REFUSED: [&str; 5] = ["incomplete", "no-audio", "not-media", "silent", "audio-missing"];

/// Classes of the queue's own errors. Their messages are for those who run the service.
const OUR_SIDE: [&str; 6] = ["panic", "internal", "database", "attempt-timeout", "crashed", "undecodable"];

/// What a student is told of them.
const OUR_SIDE_MESSAGE: &str =
    "Something went wrong on our side. Use retry; if it stays, tell the people who run this service.";

/// Longest `error_message`, in characters.
const MAX_ERROR_MESSAGE: usize = 500;

/// The lecture is at work: what every stage but the first shows at its begin. It may still be `pending`, where it was
/// started again at this stage, or `failed`, where somebody revived the very job that failed.
///
/// # Errors
/// The database's.
pub async fn begin(tx: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- lecture::begin
         UPDATE lectures SET status = 'downloading' WHERE id = $1 AND status IN ('pending', 'failed')",
    )
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes why an attempt failed or waits, and leaves the status alone. Nothing happens where the lecture is gone or
/// has ended.
///
/// # Errors
/// The database's.
pub async fn record_failure(tx: &mut PgConnection, failure: &Failure) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- lecture::record_failure
         UPDATE lectures SET error_message = $2 WHERE id = $1 AND status IN ('pending', 'downloading')",
    )
    .bind(failure.subject)
    .bind(for_people(&failure.class, &failure.message))
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the lecture as failed: the message says why, and the audio, which is temporary, is given up unless the
/// settings keep it for a cheap retry. Audio that was found wanting is never kept, nor is its length: a retry brings the
/// recording in anew. Returns the jobs that remove its files. Nothing happens where the lecture is
/// gone or completed.
///
/// # Errors
/// The database's.
pub async fn fail(tx: &mut PgConnection, end: &End, settings: &Settings) -> Result<Vec<NewJob>, sqlx::Error> {
    let Some(lecture_id) = end.subject else { return Ok(Vec::new()) };
    let refused = AUDIO_REFUSED.contains(&end.class.as_str());
    let ended = sqlx::query(
        "-- lecture::fail
         UPDATE lectures
         SET status = 'failed', error_message = $2,
             audio_storage_key = CASE WHEN $3 THEN audio_storage_key END,
             duration_seconds = CASE WHEN $4 THEN NULL ELSE duration_seconds END
         WHERE id = $1 AND status <> 'completed'",
    )
    .bind(lecture_id)
    .bind(for_people(&end.class, &end.message))
    .bind(settings.keep_failed_audio_days > 0 && !refused)
    .bind(refused)
    .execute(tx)
    .await?;
    Ok(match ended.rows_affected() {
        0 => Vec::new(),
        _ if end.cancelled => CleanupOrphans::after_cancelling(lecture_id).into(),
        _ => vec![CleanupOrphans::of_lecture(lecture_id)],
    })
}

/// What the lecture says of a failure. The job's own history keeps the details that are no student's business.
#[must_use]
pub fn for_people(class: &str, message: &str) -> String {
    fit(if OUR_SIDE.contains(&class) { OUR_SIDE_MESSAGE } else { message })
}

/// The message as it is stored: PostgreSQL refuses NUL, and nobody wants to read more.
fn fit(message: &str) -> String {
    let clean = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_ERROR_MESSAGE).collect()
}
