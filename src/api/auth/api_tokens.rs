//! API tokens: `bedel token create` makes one for a user and shows it once. The database holds its SHA-256.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

/// Prefix of every token, so that a leaked one is recognised.
pub const PREFIX: &str = "bedel_api_";

/// Scope: read.
pub const READ: &str = "read";
/// Scope: read and change.
pub const WRITE: &str = "write";
/// Scope: everything an admin may do.
pub const ADMIN: &str = "admin";

/// The user and scope behind a token.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Holder {
    /// The user.
    pub user_id: Uuid,
    /// [`READ`], [`WRITE`] or [`ADMIN`]; each includes the ones before it.
    pub scope: String,
}

/// A token in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Listed {
    /// Id for revoking.
    pub id: Uuid,
    /// Its user.
    pub user_id: Uuid,
    /// The purpose that its user gave.
    pub name: String,
    /// Its scope.
    pub scope: String,
    /// Creation time.
    pub created_at: DateTime<Utc>,
    /// End of validity.
    pub expires_at: Option<DateTime<Utc>>,
    /// Time of revocation.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Creates a token and returns its id and the token itself, which cannot be read again. It is valid for
/// `days`.
pub async fn create(
    tx: &mut PgConnection,
    user_id: Uuid,
    name: &str,
    scope: &str,
    days: Option<u32>,
) -> Result<(Uuid, String), sqlx::Error> {
    bedel_jobs::user::ensure_user_exists(tx, user_id).await?;
    let secret: [u8; 32] = rand::random();
    let token = format!("{PREFIX}{}", hex::encode(secret));
    let id = sqlx::query_scalar(
        "-- api_tokens::create
         INSERT INTO api_tokens (user_id, name, scope, sha256, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(days => $5))
         RETURNING id",
    )
    .bind(user_id)
    .bind(name)
    .bind(scope)
    .bind(digest(&token))
    .bind(days.map(|days| i32::try_from(days).unwrap_or(i32::MAX)))
    .fetch_one(tx)
    .await?;
    Ok((id, token))
}

/// The holder of a token. None if it is unknown, expired or revoked.
pub async fn find(connection: &mut PgConnection, token: &str) -> Result<Option<Holder>, sqlx::Error> {
    sqlx::query_as(
        "-- api_tokens::find
         SELECT user_id, scope FROM api_tokens
         WHERE sha256 = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
    )
    .bind(digest(token))
    .fetch_optional(connection)
    .await
}

/// All tokens, or one user's, newest first.
pub async fn list(connection: &mut PgConnection, user_id: Option<Uuid>) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as(
        "-- api_tokens::list
         SELECT id, user_id, name, scope, created_at, expires_at, revoked_at FROM api_tokens
         WHERE $1::uuid IS NULL OR user_id = $1
         ORDER BY created_at DESC, id",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await
}

/// Revokes a token. False if there is no such token or it is revoked already.
pub async fn revoke(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let revoked = sqlx::query(
        "-- api_tokens::revoke
         UPDATE api_tokens SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}
