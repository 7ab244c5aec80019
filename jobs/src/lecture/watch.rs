//! Reads what many open pages watch, in one statement: states of lectures, and each user's newest lecture.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::LectureStatus;
use super::view::{LectureState, newest_job, stage_and_progress};

/// A watched lecture of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedLecture {
    /// The title that users see.
    pub title: Option<String>,
    /// Its status and progress.
    pub state: LectureState,
    /// True if a worker has its job now.
    pub is_running: bool,
}

/// What users watch. A user is linked to each lecture listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// By user and lecture. A missing one was removed, or the user is not linked to it.
    pub lectures: HashMap<(Uuid, Uuid), WatchedLecture>,
    /// Each user's newest lecture.
    pub newest: HashMap<Uuid, Uuid>,
}

/// A row: a lecture with a status, or a user's newest lecture without one.
#[derive(sqlx::FromRow)]
struct Row {
    user_id: Uuid,
    lecture_id: Uuid,
    title: Option<String>,
    status: Option<LectureStatus>,
    error_message: Option<String>,
    duration_seconds: Option<i32>,
    stage: Option<String>,
    progress: Option<f32>,
    seconds_left: Option<i32>,
    is_running: bool,
}

/// Reads pairs of user and lecture, and the newest lecture of each of `users`.
///
/// # Errors
/// The database's.
pub async fn read(
    connection: &mut PgConnection,
    pairs: &[(Uuid, Uuid)],
    users: &[Uuid],
) -> Result<Watched, sqlx::Error> {
    let (owners, lectures): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().copied().unzip();
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- watch::read
         SELECT link.user_id, link.lecture_id, lecture.title, lecture.status, lecture.error_message,
                lecture.duration_seconds, ",
        stage_and_progress!(),
        ", coalesce(job.running, false) AS is_running
          FROM unnest($1::uuid[], $2::uuid[]) AS watched (user_id, lecture_id)
          JOIN user_lectures AS link
              ON link.user_id = watched.user_id AND link.lecture_id = watched.lecture_id
          JOIN lectures AS lecture ON lecture.id = link.lecture_id ",
        newest_job!(),
        " UNION ALL
          SELECT watcher.user_id, newest.lecture_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false
          FROM unnest($3::uuid[]) AS watcher (user_id)
          CROSS JOIN LATERAL (
              SELECT lecture_id FROM user_lectures WHERE user_lectures.user_id = watcher.user_id
              ORDER BY created_at DESC, lecture_id DESC LIMIT 1
          ) AS newest"
    ))
    .bind(owners)
    .bind(lectures)
    .bind(users)
    .fetch_all(connection)
    .await?;
    let mut watched = Watched::default();
    for row in rows {
        let Some(status) = row.status else {
            watched.newest.insert(row.user_id, row.lecture_id);
            continue;
        };
        let state = LectureState {
            lecture_id: row.lecture_id,
            status,
            error_message: row.error_message,
            duration_seconds: row.duration_seconds,
            stage: row.stage,
            progress: row.progress,
            seconds_left: row.seconds_left,
        };
        let watching = (row.user_id, row.lecture_id);
        let lecture = WatchedLecture { title: row.title, state, is_running: row.is_running };
        watched.lectures.insert(watching, lecture);
    }
    Ok(watched)
}
