//! Courses: listing, choosing and creating them.

use bedel_recordings::catalogue::code;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::user::ensure_user_exists;

/// Longest code, in characters.
pub const MAX_CODE_CHARS: usize = 50;
/// Longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 500;
/// Longest name of an instructor, in characters.
pub const MAX_INSTRUCTOR_CHARS: usize = 200;

/// A course. Serialises to what the API answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Course {
    /// The course's id.
    pub id: Uuid,
    /// Such as `CSC 173`.
    pub code: String,
    /// Its full title.
    pub title: String,
    /// The title again: the browser extension reads this field.
    pub name: String,
    /// Its instructor, if known.
    pub instructor: Option<String>,
    /// True for a course of the catalogue, false for a user's.
    pub is_official: bool,
}

/// All courses, in order of code.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<Course>, sqlx::Error> {
    sqlx::query_as(
        "-- course::all
         SELECT id, code, title, title AS name, instructor, is_official FROM courses ORDER BY code",
    )
    .fetch_all(connection)
    .await
}

/// The user's chosen courses, in order of code.
pub async fn chosen(connection: &mut PgConnection, user_id: Uuid) -> Result<Vec<Course>, sqlx::Error> {
    sqlx::query_as(
        "-- course::chosen
         SELECT id, code, title, title AS name, instructor, is_official
         FROM courses
         WHERE id IN (SELECT course_id FROM user_courses WHERE user_id = $1)
         ORDER BY code",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await
}

/// The courses with these ids, in order of code.
pub async fn among(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Course>, sqlx::Error> {
    sqlx::query_as(
        "-- course::among
         SELECT id, code, title, title AS name, instructor, is_official FROM courses WHERE id = ANY ($1) ORDER BY code",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Outcome of [`choose`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// It was added to the user's courses.
    Added,
    /// The user had already chosen it.
    AlreadyThere,
    /// No such course.
    NotFound,
}

/// Adds a course to the user's courses, in the caller's transaction.
pub async fn choose(tx: &mut PgConnection, user_id: Uuid, course_id: Uuid) -> Result<Chosen, sqlx::Error> {
    // The lock keeps a course sync from deleting the course meanwhile: it waits for this transaction and sees
    // the choice.
    let exists = sqlx::query("-- course::lock\nSELECT FROM courses WHERE id = $1 FOR KEY SHARE")
        .bind(course_id)
        .fetch_optional(&mut *tx)
        .await?;
    if exists.is_none() {
        return Ok(Chosen::NotFound);
    }
    ensure_user_exists(tx, user_id).await?;
    let added = sqlx::query(
        "-- course::choose
         INSERT INTO user_courses (user_id, course_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(user_id)
    .bind(course_id)
    .execute(tx)
    .await?;
    Ok(if added.rows_affected() == 1 { Chosen::Added } else { Chosen::AlreadyThere })
}

/// Removes a course from the user's courses. False if it was not among them.
pub async fn drop_choice(
    connection: &mut PgConnection,
    user_id: Uuid,
    course_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query(
        "-- course::drop_choice
         DELETE FROM user_courses WHERE user_id = $1 AND course_id = $2",
    )
    .bind(user_id)
    .bind(course_id)
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Creates an unofficial course. Its code is stored in the spelling by which codes are compared. `None` if a
/// course already has this code.
pub async fn create(
    connection: &mut PgConnection,
    code: &str,
    title: &str,
    instructor: Option<&str>,
) -> Result<Option<Course>, sqlx::Error> {
    sqlx::query_as(
        "-- course::create
         INSERT INTO courses (code, title, instructor, is_official) VALUES ($1, $2, $3, false)
         ON CONFLICT (code) DO NOTHING
         RETURNING id, code, title, title AS name, instructor, is_official",
    )
    .bind(code::fold(code))
    .bind(title)
    .bind(instructor)
    .fetch_optional(connection)
    .await
}
