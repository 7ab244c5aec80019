//! A lecture's row: reading, locking and the changes of its status.
//!
//! Lock order everywhere: the lecture first, then its job.

pub mod cancel;
pub(crate) mod last_job;
pub mod list;
mod priority;
pub mod removal;
pub mod restart;
pub mod retranscribe;
pub mod retry;
pub mod search;
pub mod streams;
pub mod submission;
pub mod upload;
pub mod view;
pub mod watch;

use bedel_queue::{End, Failure, NewJob};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::environment::Settings;
use crate::kinds::CleanupOrphans;
use crate::webhook::event::Event;
use crate::webhook::publish;

/// The `stream_url` of a lecture with an uploaded recording, which cannot be fetched again.
pub const UPLOADED: &str = "audio_podcast";

/// `lectures.status`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[sqlx(type_name = "lecture_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum LectureStatus {
    /// Accepted; no download has begun.
    Pending,
    /// From the start of the download to the stored transcript.
    Downloading,
    /// The transcript is stored.
    Completed,
    /// Given up; `error_message` says why and what to do.
    Failed,
}

/// Error of parsing a [`LectureStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown status: use pending, downloading, completed or failed")]
pub struct UnknownStatus;

impl std::str::FromStr for LectureStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        match text {
            "pending" => Ok(Self::Pending),
            "downloading" => Ok(Self::Downloading),
            "completed" => Ok(Self::Completed),
            "failed" => Ok(Self::Failed),
            _ => Err(UnknownStatus),
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

/// The columns of a [`Lecture`]. Named: with `*`, a later migration's column would fail every statement that a
/// running program has prepared.
macro_rules! lecture_columns {
    () => {
        "id, course_id, panopto_session_id, panopto_url, stream_url, title, audio_storage_key, \
         transcript_storage_key, duration_seconds, status, error_message, created_at, updated_at"
    };
}
pub(crate) use lecture_columns;

/// Reads the lecture without a lock. `None` if it was deleted.
pub async fn read(connection: &mut PgConnection, id: Uuid) -> Result<Option<Lecture>, sqlx::Error> {
    sqlx::query_as(concat!("-- lecture::read\nSELECT ", lecture_columns!(), " FROM lectures WHERE id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await
}

/// Locks the lecture for the rest of the transaction and reads it. `None` if it was deleted.
pub async fn lock(tx: &mut PgConnection, id: Uuid) -> Result<Option<Lecture>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- lecture::lock\nSELECT ",
        lecture_columns!(),
        " FROM lectures WHERE id = $1 FOR UPDATE"
    ))
    .bind(id)
    .fetch_optional(tx)
    .await
}

/// Error classes after which the stored audio is useless.
const UNUSABLE_AUDIO_CLASSES: [&str; 5] = ["incomplete", "no-audio", "not-media", "silent", "audio-missing"];

/// Error classes of the queue. Their messages are for operators.
const OUR_SIDE: [&str; 6] = ["panic", "internal", "database", "attempt-timeout", "crashed", "undecodable"];

/// The student's message for [`OUR_SIDE`].
const OUR_SIDE_MESSAGE: &str =
    "Something went wrong on our side. Use retry. If it fails again, tell the people who run this service.";

/// Longest `error_message`, in characters.
const MAX_ERROR_MESSAGE: usize = 500;

/// Sets the lecture to `downloading` when any stage but the first begins. It may be `pending` after a restart
/// at this stage, or `failed` after a retry of the failed job.
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

/// Records why an attempt failed or waits, and keeps the status. Skips a deleted or ended lecture.
pub async fn record_failure(tx: &mut PgConnection, failure: &Failure) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- lecture::record_failure
         UPDATE lectures SET error_message = $2 WHERE id = $1 AND status IN ('pending', 'downloading')",
    )
    .bind(failure.subject)
    .bind(student_message(&failure.class, &failure.message))
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets the lecture to `completed` with its stored transcript. Returns the jobs that tell its webhooks, to enqueue in
/// this transaction.
pub async fn complete(
    tx: &mut PgConnection,
    id: Uuid,
    transcript_key: &str,
) -> Result<Vec<NewJob>, sqlx::Error> {
    sqlx::query(
        "-- lecture::complete
         UPDATE lectures SET transcript_storage_key = $2, status = 'completed', error_message = NULL
         WHERE id = $1",
    )
    .bind(id)
    .bind(transcript_key)
    .execute(&mut *tx)
    .await?;
    publish::lecture_ended(tx, id, Event::LectureCompleted).await
}

/// Sets the lecture to `failed` with a message, and clears its audio unless the settings keep that for a
/// cheap retry. Unusable audio is never kept, nor is its length: a retry downloads the recording again.
/// Returns the jobs to enqueue: the clean-up, and those that tell its webhooks. Skips a deleted lecture. A completed
/// one loses nothing when its new transcription fails, and no message follows.
pub async fn fail(tx: &mut PgConnection, end: &End, settings: &Settings) -> Result<Vec<NewJob>, sqlx::Error> {
    let Some(lecture_id) = end.subject else { return Ok(Vec::new()) };
    let is_unusable = UNUSABLE_AUDIO_CLASSES.contains(&end.class.as_str());
    let ended = sqlx::query(
        "-- lecture::fail
         UPDATE lectures
         SET status = 'failed', error_message = $2,
             audio_storage_key = CASE WHEN $3 THEN audio_storage_key END,
             duration_seconds = CASE WHEN $4 THEN NULL ELSE duration_seconds END
         WHERE id = $1 AND status <> 'completed'",
    )
    .bind(lecture_id)
    .bind(student_message(&end.class, &end.message))
    .bind(settings.keep_failed_audio_days > 0 && !is_unusable)
    .bind(is_unusable)
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        forget_audio(tx, lecture_id, is_unusable).await?;
        return Ok(Vec::new());
    }
    let mut jobs = match end.cancelled {
        true => CleanupOrphans::after_cancelling(lecture_id).into(),
        false => vec![CleanupOrphans::for_lecture(lecture_id)],
    };
    jobs.extend(publish::lecture_ended(tx, lecture_id, Event::LectureFailed).await?);
    Ok(jobs)
}

/// Clears a completed lecture's key of audio that is unusable or was not probed, so that the next transcription
/// downloads the recording again. An upload cannot be downloaded.
async fn forget_audio(tx: &mut PgConnection, lecture_id: Uuid, is_unusable: bool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- lecture::forget_audio
         UPDATE lectures SET audio_storage_key = NULL
         WHERE id = $1 AND status = 'completed' AND stream_url <> $2 AND ($3 OR duration_seconds IS NULL)",
    )
    .bind(lecture_id)
    .bind(UPLOADED)
    .bind(is_unusable)
    .execute(tx)
    .await?;
    Ok(())
}

/// The message that a student sees for a failure. The job's history keeps the details.
#[must_use]
pub fn student_message(class: &str, message: &str) -> String {
    storable(if OUR_SIDE.contains(&class) { OUR_SIDE_MESSAGE } else { message })
}

/// Replaces control characters, since PostgreSQL refuses NUL, and truncates to [`MAX_ERROR_MESSAGE`].
fn storable(message: &str) -> String {
    let clean = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_ERROR_MESSAGE).collect()
}
