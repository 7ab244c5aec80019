//! The users table: the target of foreign keys. It may be another application's (see migration 003).

pub mod removal;

use sqlx::PgConnection;
use uuid::Uuid;

/// Makes sure that the user has a row, in the caller's transaction. Rows appear when a user first brings something
/// in. Any number of calls at once make one row and no error.
///
/// The row is looked for before it is inserted: an adopted table may have columns that must not be NULL and have no
/// default, and PostgreSQL checks those before it looks at conflicts.
///
/// # Errors
/// The database's; among them a NOT NULL violation where an adopted table demands more than an id of a user that
/// it does not have yet.
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
