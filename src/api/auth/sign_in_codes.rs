//! One-time links that sign a browser in.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::sessions::{Grant, Source};

/// Validity of a code, in minutes.
pub const VALID_MINUTES: i32 = 60;

/// Creates a code for a user who may write, and returns it. It signs in once, within [`VALID_MINUTES`].
///
/// # Errors
/// If the database refuses a statement.
pub async fn create(tx: &mut PgConnection, user_id: Uuid, admin: bool) -> Result<String, sqlx::Error> {
    bedel_jobs::user::ensure_user_exists(tx, user_id).await?;
    sqlx::query(
        "-- sign_in_codes::expire\nDELETE FROM sign_in_codes WHERE expires_at < now() - interval '1 day'",
    )
    .execute(&mut *tx)
    .await?;
    let secret: [u8; 32] = rand::random();
    let code = hex::encode(secret);
    sqlx::query(
        "-- sign_in_codes::create
         INSERT INTO sign_in_codes (sha256, user_id, admin, may_write, expires_at)
         VALUES ($1, $2, $3, true, now() + make_interval(mins => $4))",
    )
    .bind(Sha256::digest(&code).to_vec())
    .bind(user_id)
    .bind(admin)
    .bind(VALID_MINUTES)
    .execute(tx)
    .await?;
    Ok(code)
}

/// True if the code would sign in now. Changes nothing.
pub(crate) async fn is_valid(connection: &mut PgConnection, code: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- sign_in_codes::is_valid
         SELECT EXISTS (SELECT FROM sign_in_codes WHERE sha256 = $1 AND used_at IS NULL AND expires_at > now())",
    )
    .bind(Sha256::digest(code).to_vec())
    .fetch_one(connection)
    .await
}

/// Uses up a code. `None` if it is unknown, used or expired.
pub(crate) async fn redeem(tx: &mut PgConnection, code: &str) -> Result<Option<Grant>, sqlx::Error> {
    let credential: [u8; 32] = Sha256::digest(code).into();
    let row: Option<(Uuid, bool, bool)> = sqlx::query_as(
        "-- sign_in_codes::redeem
         UPDATE sign_in_codes SET used_at = now()
         WHERE sha256 = $1 AND used_at IS NULL AND expires_at > now()
         RETURNING user_id, admin, may_write",
    )
    .bind(credential.to_vec())
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|(user_id, admin, may_write)| Grant {
        user_id,
        source: Source::Code,
        credential,
        admin,
        may_write,
        ends_at: None,
    }))
}
