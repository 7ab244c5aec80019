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
