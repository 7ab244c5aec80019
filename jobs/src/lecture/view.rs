//! A lecture as the people who are linked to it see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::LectureStatus;

/// A lecture and the work on it. Serialises to what the API answers.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
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
    /// Seconds until the transcription that is under way will be done, judged by what is finished of it; none before its first
    /// piece is, and for other jobs.
    pub seconds_left: Option<i32>,
    /// The newest job of the four stages, live or not: its history is one call away.
    pub job_id: Option<Uuid>,
    /// Whether the transcript can be read.
    pub has_transcript: bool,
    /// Logical storage key of the audio; never shown.
    #[serde(skip)]
    pub audio_storage_key: Option<String>,
    /// Logical storage key of the transcript; never shown.
    #[serde(skip)]
    pub transcript_storage_key: Option<String>,
}

/// Where a lecture is in its life. Serialises to what the API answers.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct LectureState {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Where it is.
    pub status: LectureStatus,
    /// The last failure in words, of an attempt or of the whole.
    pub error_message: Option<String>,
    /// Length of the audio, rounded down.
    pub duration_seconds: Option<i32>,
    /// The kind of the job it is in, or in which it failed; null once it is completed.
    pub stage: Option<String>,
    /// How far the live job is, 0 to 1.
    pub progress: Option<f32>,
    /// Seconds until the transcription that is under way will be done, judged by what is finished of it; none before its first
    /// piece is, and for other jobs.
    pub seconds_left: Option<i32>,
}

/// Which lectures are shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only this course's.
    pub course_id: Option<Uuid>,
    /// Only those in this state.
    pub status: Option<LectureStatus>,
}

/// Of a `lecture` that a statement has, stage and progress.
macro_rules! stage_and_progress {
    () => {
        "CASE WHEN lecture.status <> 'completed' THEN job.kind END AS stage,
         CASE WHEN job.live THEN job.progress END AS progress,
         CASE WHEN job.running AND (job.checkpoint ->> 'speed')::float8 > 0
              THEN least(ceil((1 - job.progress) * (job.checkpoint ->> 'of')::float8
                              / (job.checkpoint ->> 'speed')::float8), 2147483647)::int END AS seconds_left"
    };
}

/// The newest `job` of a `lecture` that a statement has. A live one is the newest by definition; of ended ones the id decides,
/// which sorts by time.
macro_rules! newest_job {
    () => {
        "LEFT JOIN LATERAL (
             SELECT jobs.id, jobs.kind, jobs.progress, jobs.state IN ('available', 'running') AS live, jobs.state = 'running' AS running,
                    CASE jobs.kind WHEN 'transcribe' THEN jobs.checkpoint END AS checkpoint
             FROM queue.jobs
             WHERE jobs.subject = lecture.id AND jobs.kind IN ('submit', 'download', 'probe', 'transcribe')
             ORDER BY live DESC, jobs.id DESC
             LIMIT 1
         ) AS job ON true"
    };
}

/// The statement that shows the lectures of a query for their rows, each with its `place`, in the order of their places.
///
/// A URL's query begins at its first `?` and its fragment at its first `#`.
macro_rules! views_of {
    ($name:literal, $lectures:literal) => {
        concat!(
            "-- view::",
            $name,
            "\nSELECT lecture.id, lecture.course_id, lecture.panopto_session_id, lecture.panopto_url,
                    nullif(substring(lecture.stream_url FROM '^[^?#]*'), '') AS stream_url, lecture.title,
                    lecture.duration_seconds, lecture.status, lecture.error_message, lecture.created_at,
                    lecture.updated_at, ",
            stage_and_progress!(),
            ", job.id AS job_id,
                    lecture.transcript_storage_key IS NOT NULL AS has_transcript,
                    lecture.audio_storage_key, lecture.transcript_storage_key
             FROM (",
            $lectures,
            ") AS lecture ",
            newest_job!(),
            " ORDER BY lecture.place"
        )
    };
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
    sqlx::query_as(views_of!(
        "read",
        "SELECT lectures.*, 1 AS place
         FROM user_lectures JOIN lectures ON lectures.id = user_lectures.lecture_id
         WHERE user_id = $1 AND lecture_id = $2"
    ))
    .bind(user_id)
    .bind(lecture_id)
    .fetch_optional(connection)
    .await
}

/// Reads where the lecture is in its life. `None` where it does not exist or is not linked to the user.
///
/// # Errors
/// The database's.
pub async fn state(
    connection: &mut PgConnection,
    user_id: Uuid,
    lecture_id: Uuid,
) -> Result<Option<LectureState>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- view::state
         SELECT lecture.id AS lecture_id, lecture.status, lecture.error_message, lecture.duration_seconds, ",
        stage_and_progress!(),
        " FROM user_lectures JOIN lectures AS lecture ON lecture.id = user_lectures.lecture_id ",
        newest_job!(),
        " WHERE user_id = $1 AND lecture_id = $2"
    ))
    .bind(user_id)
    .bind(lecture_id)
    .fetch_optional(connection)
    .await
}

/// The lectures of one course that `user_id` is linked to, the newest thousand first to last.
///
/// # Errors
/// The database's.
pub async fn of_course(
    connection: &mut PgConnection,
    user_id: Uuid,
    course_id: Uuid,
) -> Result<Vec<LectureView>, sqlx::Error> {
    sqlx::query_as(views_of!(
        "of_course",
        "SELECT lectures.*, row_number() OVER (ORDER BY lectures.created_at DESC, lectures.id) AS place
         FROM lectures
         JOIN user_lectures ON user_lectures.lecture_id = lectures.id AND user_lectures.user_id = $1
         WHERE lectures.course_id = $2
         ORDER BY place LIMIT 1000"
    ))
    .bind(user_id)
    .bind(course_id)
    .fetch_all(connection)
    .await
}

/// Of the lectures `ids`, in their order, the first `limit` that the filter lets through.
pub(super) async fn among(
    connection: &mut PgConnection,
    ids: &[Uuid],
    filter: Filter,
    limit: i64,
) -> Result<Vec<LectureView>, sqlx::Error> {
    sqlx::query_as(views_of!(
        "among",
        "SELECT lectures.*, place
         FROM unnest($1::uuid[]) WITH ORDINALITY AS listed (id, place)
         JOIN lectures USING (id)
         WHERE ($2::uuid IS NULL OR course_id = $2) AND ($3::lecture_status IS NULL OR status = $3)
         ORDER BY place
         LIMIT $4"
    ))
    .bind(ids)
    .bind(filter.course_id)
    .bind(filter.status)
    .bind(limit)
    .fetch_all(connection)
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

/// True where somebody but the user is linked to the lecture.
///
/// # Errors
/// The database's.
pub async fn is_shared(
    connection: &mut PgConnection,
    user_id: Uuid,
    lecture_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- view::is_shared
         SELECT EXISTS (SELECT 1 FROM user_lectures WHERE lecture_id = $2 AND user_id <> $1)",
    )
    .bind(user_id)
    .bind(lecture_id)
    .fetch_one(connection)
    .await
}
