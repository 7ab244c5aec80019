//! A lecture as the people who are linked to it see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::LectureStatus;

/// A lecture and the work on it. Serialises to what the API answers.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct LectureView {
    /// The lecture.
    pub id: Uuid,
    /// Its course.
    pub course_id: Uuid,
    /// The recording's id at Panopto, lower case.
    pub panopto_session_id: Option<String>,
    /// The viewer's URL as it was handed in.
    pub panopto_url: String,
    /// The media's URL without its query, which may be a signature and is nobody's to read; none until it is resolved.
    pub stream_url: Option<String>,
    /// Shown to people.
    pub title: Option<String>,
    /// Length of the audio, rounded down; known from the probe job on.
    pub duration_seconds: Option<i32>,
    /// Where the lecture is in its life.
    pub status: LectureStatus,
    /// The last failure in words, of an attempt or of the whole.
    pub error_message: Option<String>,
    /// When it was first accepted.
    pub created_at: DateTime<Utc>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
    /// The kind of the job the lecture is in, or in which it failed; none once it is completed.
    pub stage: Option<String>,
    /// How far the live job is, 0 to 1.
    pub progress: Option<f32>,
    /// The newest job of the four stages, live or not: its history is one call away.
    pub job_id: Option<Uuid>,
    /// Whether the transcript can be read.
    pub has_transcript: bool,
    /// Logical storage key of the transcript; never shown.
    #[serde(skip)]
    pub transcript_storage_key: Option<String>,
}

/// Reads the lecture as `user_id` sees it. `None` where it does not exist or is not linked to the user.
///
/// # Errors
/// The database's.
pub async fn read(
    connection: &mut PgConnection,
    user_id: Uuid,
    lecture_id: Uuid,
) -> Result<Option<LectureView>, sqlx::Error> {
    // A URL's query begins at its first `?` and its fragment at its first `#`. A live job is the newest by definition; of ended ones the id decides, which sorts by time.
    sqlx::query_as(
        "-- view::read
         SELECT lecture.id, lecture.course_id, lecture.panopto_session_id, lecture.panopto_url,
                nullif(substring(lecture.stream_url FROM '^[^?#]*'), '') AS stream_url, lecture.title, lecture.duration_seconds, lecture.status,
                lecture.error_message, lecture.created_at, lecture.updated_at,
                CASE WHEN lecture.status <> 'completed' THEN job.kind END AS stage,
                CASE WHEN job.live THEN job.progress END AS progress,
                job.id AS job_id,
                lecture.transcript_storage_key IS NOT NULL AS has_transcript,
                lecture.transcript_storage_key
         FROM user_lectures AS link
         JOIN lectures AS lecture ON lecture.id = link.lecture_id
         LEFT JOIN LATERAL (
             SELECT jobs.id, jobs.kind, jobs.progress, jobs.state IN ('available', 'running') AS live
             FROM queue.jobs
             WHERE jobs.subject = lecture.id AND jobs.kind IN ('submit', 'download', 'probe', 'transcribe')
             ORDER BY live DESC, jobs.id DESC
             LIMIT 1
         ) AS job ON true
         WHERE link.user_id = $1 AND link.lecture_id = $2",
    )
    .bind(user_id)
    .bind(lecture_id)
    .fetch_optional(connection)
    .await
}

/// True where the user is linked to the lecture.
///
/// # Errors
/// The database's.
pub async fn is_linked(
    connection: &mut PgConnection,
    user_id: Uuid,
    lecture_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- view::is_linked
         SELECT EXISTS (SELECT 1 FROM user_lectures WHERE user_id = $1 AND lecture_id = $2)",
    )
    .bind(user_id)
    .bind(lecture_id)
    .fetch_one(connection)
    .await
}
