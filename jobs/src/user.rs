//! The users table: the target of foreign keys. Another application may own it (see migration 003).

pub mod removal;

use sqlx::PgConnection;
use uuid::Uuid;

/// Inserts the user's row if it is missing, in the caller's transaction: users appear with what they first
/// add. Concurrent calls insert one row without an error.
///
/// The statement looks for the row before it inserts: an adopted table may have NOT NULL columns without a
/// default, which PostgreSQL checks before conflicts.
///
/// # Errors
/// A NOT NULL violation, if an adopted table requires more than an id of a new user.
pub async fn ensure_user_exists(tx: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- user::ensure_user_exists
         INSERT INTO users (id)
         SELECT $1 WHERE NOT EXISTS (SELECT FROM users WHERE id = $1)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(user_id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Most lectures of a user in a filter of jobs: each costs an index lookup.
pub const MAX_FILTERED_LECTURES: usize = 1000;

/// The user's lectures, newest first, for a filter of jobs. `None` if there are more than
/// [`MAX_FILTERED_LECTURES`].
///
/// # Errors
/// If the database is away.
pub async fn filtered_lectures(
    connection: &mut PgConnection,
    user_id: Uuid,
) -> Result<Option<Vec<Uuid>>, sqlx::Error> {
    let lectures: Vec<Uuid> = sqlx::query_scalar(
        "-- user::filtered_lectures
         SELECT lecture_id FROM user_lectures
          WHERE user_id = $1 ORDER BY created_at DESC, lecture_id DESC LIMIT $2",
    )
    .bind(user_id)
    .bind(i64::try_from(MAX_FILTERED_LECTURES + 1).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    Ok((lectures.len() <= MAX_FILTERED_LECTURES).then_some(lectures))
}
