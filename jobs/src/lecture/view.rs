//! A lecture as its linked users see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Lecture, LectureStatus, lock};

/// A lecture and its newest job. Serialises to what the API answers.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct LectureView {
    /// The lecture's id.
    pub id: Uuid,
    /// Its course.
    pub course_id: Uuid,
    /// The recording's id at Panopto, in lower case.
    pub panopto_session_id: Option<String>,
    /// The viewer's URL as submitted.
    pub panopto_url: String,
    /// The stream's URL without its query, which may be a secret signature; none until it is resolved.
    pub stream_url: Option<String>,
    /// The title that users see.
    pub title: Option<String>,
    /// Length of the audio, rounded down; known from the probe job on.
    pub duration_seconds: Option<i32>,
    /// Its status.
    pub status: LectureStatus,
    /// Why the latest attempt or the lecture failed, for the student.
    pub error_message: Option<String>,
    /// When it was first accepted.
    pub created_at: DateTime<Utc>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
    /// The kind of the newest job, which runs, waits or failed; none once the lecture is completed, unless it
    /// is being transcribed again.
    pub stage: Option<String>,
    /// Progress of the live job, 0 to 1.
    pub progress: Option<f32>,
    /// Estimated seconds until the running transcription ends; none before its first piece is done, and for
    /// other jobs.
    pub seconds_left: Option<i32>,
    /// The newest job of the four stages, live or final; its history is at `/api/jobs/{id}`.
    pub job_id: Option<Uuid>,
    /// True if the transcript is stored.
    pub has_transcript: bool,
    /// True if a worker has its job now; never shown in the API.
    #[serde(skip)]
    pub is_running: bool,
    /// Storage key of the audio; never shown.
    #[serde(skip)]
    pub audio_storage_key: Option<String>,
    /// Storage key of the transcript; never shown.
    #[serde(skip)]
    pub transcript_storage_key: Option<String>,
}

/// A lecture's status and progress. Serialises to what the API answers.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct LectureState {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Its status.
    pub status: LectureStatus,
    /// Why the latest attempt or the lecture failed, for the student.
    pub error_message: Option<String>,
    /// Length of the audio, rounded down.
    pub duration_seconds: Option<i32>,
    /// The kind of the newest job, which runs, waits or failed; null once the lecture is completed, unless it
    /// is being transcribed again.
    pub stage: Option<String>,
    /// Progress of the live job, 0 to 1.
    pub progress: Option<f32>,
    /// Estimated seconds until the running transcription ends; none before its first piece is done, and for
    /// other jobs.
    pub seconds_left: Option<i32>,
}

impl LectureView {
    /// Its status and progress.
    #[must_use]
    pub fn state(&self) -> LectureState {
        LectureState {
            lecture_id: self.id,
            status: self.status,
            error_message: self.error_message.clone(),
            duration_seconds: self.duration_seconds,
            stage: self.stage.clone(),
            progress: self.progress,
            seconds_left: self.seconds_left,
        }
    }
}

impl LectureState {
    /// True if nothing changes any more by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.status {
            LectureStatus::Pending | LectureStatus::Downloading => false,
            LectureStatus::Completed => self.stage.is_none(),
            LectureStatus::Failed => true,
        }
    }
}

/// Selects lectures by course and status.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only lectures of this course.
    pub course_id: Option<Uuid>,
    /// Only lectures with this status.
    pub status: Option<LectureStatus>,
}

/// Columns for the stage and progress of a statement's `lecture` and `job`. A checkpoint that is not the program's
/// own shows no time.
macro_rules! stage_and_progress {
    () => {
        "CASE WHEN lecture.status <> 'completed' OR job.live THEN job.kind END AS stage,
         CASE WHEN job.live THEN job.progress END AS progress,
         CASE WHEN job.running AND jsonb_typeof(job.checkpoint -> 'speed') = 'number'
                   AND jsonb_typeof(job.checkpoint -> 'of') = 'number'
              THEN CASE WHEN (job.checkpoint ->> 'speed')::numeric BETWEEN 1e-9 AND 1e9
                             AND (job.checkpoint ->> 'of')::numeric BETWEEN 0 AND 1e9
                        THEN least(ceil((1 - job.progress) * (job.checkpoint ->> 'of')::float8
                                        / (job.checkpoint ->> 'speed')::float8), 2147483647)::int END END AS seconds_left"
    };
}

pub(super) use stage_and_progress;

/// Joins the newest `job` of a statement's `lecture`. A live one counts as the newest; final ones are sorted
/// by id, which sorts by time.
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

pub(super) use newest_job;

/// The statement for the views of the lectures that a query selects, in the order of its column `place`.
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
            ", job.id AS job_id, coalesce(job.running, false) AS is_running,
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

/// Reads the lecture as `user_id` sees it. `None` if it does not exist or is not linked to the user.
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

/// Reads the lecture's status and progress. `None` if it does not exist or is not linked to the user.
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

/// The lectures of one course that `user_id` is linked to: the newest thousand, newest first.
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

/// The first `limit` lectures of `ids` that match the filter, in the order of `ids`.
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

/// Locks a lecture for a request of this user, or of an admin (`None`). `None` if it was deleted or the user is not
/// linked to it.
pub(super) async fn lock_linked(
    tx: &mut PgConnection,
    user_id: Option<Uuid>,
    id: Uuid,
) -> Result<Option<Lecture>, sqlx::Error> {
    let lecture = lock(tx, id).await?;
    match user_id {
        Some(user_id) if lecture.is_some() && !is_linked(tx, user_id, id).await? => Ok(None),
        _ => Ok(lecture),
    }
}

/// True if the user is linked to the lecture.
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

/// True if another user is linked to the lecture.
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
