//! Defaults of a course, for lectures that are submitted later.

use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Columns, TranscriptionOptions};
use crate::user::ensure_user_exists;

/// The defaults that count for a user's submissions to a course. Serialises to what the API answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CourseDefaults {
    /// The course's, set by an admin.
    pub course: TranscriptionOptions,
    /// The user's own. They win over the course's, each option by itself.
    pub own: TranscriptionOptions,
    /// Both together: what a submission without options gets.
    pub effective: TranscriptionOptions,
}

/// Reads the defaults that count for a user's submissions.
pub async fn read(
    connection: &mut PgConnection,
    course_id: Uuid,
    user_id: Uuid,
) -> Result<CourseDefaults, sqlx::Error> {
    let course = one(&mut *connection, course_id, None).await?;
    let own = one(connection, course_id, Some(user_id)).await?;
    let effective = own.clone().or(course.clone());
    Ok(CourseDefaults { course, own, effective })
}

/// The options of a new lecture: those of its submission, then the defaults.
pub async fn resolve(
    connection: &mut PgConnection,
    course_id: Uuid,
    user_id: Uuid,
    submitted: TranscriptionOptions,
) -> Result<TranscriptionOptions, sqlx::Error> {
    Ok(submitted.or(read(connection, course_id, user_id).await?.effective))
}

async fn one(
    connection: &mut PgConnection,
    course_id: Uuid,
    user_id: Option<Uuid>,
) -> Result<TranscriptionOptions, sqlx::Error> {
    let columns: Option<Columns> = sqlx::query_as(
        "-- options::course
         SELECT language, vocabulary, engine, model FROM course_defaults
         WHERE course_id = $1
             AND coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid)
                 = coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)",
    )
    .bind(course_id)
    .bind(user_id)
    .fetch_optional(connection)
    .await?;
    Ok(columns.unwrap_or_default().into())
}

/// Replaces the defaults of a user, or with `None` those for everybody. False if there is no such course.
pub async fn replace(
    tx: &mut PgConnection,
    course_id: Uuid,
    user_id: Option<Uuid>,
    options: &TranscriptionOptions,
) -> Result<bool, sqlx::Error> {
    // With the lock, a course sync cannot delete the course before the commit.
    let exists = sqlx::query("-- options::lock_course\nSELECT FROM courses WHERE id = $1 FOR KEY SHARE")
        .bind(course_id)
        .fetch_optional(&mut *tx)
        .await?;
    if exists.is_none() {
        return Ok(false);
    }
    if let Some(user_id) = user_id {
        ensure_user_exists(tx, user_id).await?;
    }
    sqlx::query(
        "-- options::replace
         INSERT INTO course_defaults (course_id, user_id, language, vocabulary, engine, model)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (course_id, coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid))
         DO UPDATE SET language = EXCLUDED.language, vocabulary = EXCLUDED.vocabulary,
             engine = EXCLUDED.engine, model = EXCLUDED.model",
    )
    .bind(course_id)
    .bind(user_id)
    .bind(&options.language)
    .bind(&options.vocabulary)
    .bind(options.engine.map(|engine| engine.name()))
    .bind(&options.model)
    .execute(tx)
    .await?;
    Ok(true)
}
