//! Sessions of signed-in browsers.
//!
//! The cookie holds a random id and the table its SHA-256. A session ends after 30 days, after 7 idle days, when its
//! user signs out, and when the credential that it began with ends.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

/// Longest session, in days.
pub(super) const MAX_DAYS: i32 = 30;

/// A later time than any session's end, in seconds since 1970.
const LATEST_END: f64 = 1e11;

/// SHA-256 of a cookie's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(pub(super) [u8; 32]);

/// The kind of credential that a session began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A token of the configuration.
    Configured,
    /// An API token.
    ApiToken,
    /// A JWT of the identity provider.
    Jwt,
    /// A one-time link.
    Code,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::ApiToken => "api_token",
            Self::Jwt => "jwt",
            Self::Code => "code",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Configured, Self::ApiToken, Self::Jwt, Self::Code].into_iter().find(|one| one.name() == name)
    }
}

/// What a session begins with.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) user_id: Uuid,
    pub(super) source: Source,
    /// SHA-256 of the credential.
    pub(super) credential: [u8; 32],
    pub(super) admin: bool,
    pub(super) may_write: bool,
    /// End of the credential, in seconds since 1970.
    pub(super) ends_at: Option<f64>,
}

/// A session that has not ended by time. Its credential may have.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) sha256: Vec<u8>,
    pub(super) user_id: Uuid,
    pub(super) source: String,
    pub(super) credential: Vec<u8>,
    pub(super) admin: bool,
    pub(super) may_write: bool,
    /// Scope of the API token it began with, if that is valid.
    pub(super) scope: Option<String>,
    /// True if `last_seen_at` should be written.
    pub(super) is_stale: bool,
}

/// Begins a session and returns the cookie's value. Deletes expired sessions.
pub(crate) async fn begin(tx: &mut PgConnection, grant: &Grant) -> Result<String, sqlx::Error> {
    bedel_jobs::user::ensure_user_exists(tx, grant.user_id).await?;
    sqlx::query(
        "-- sessions::expire
         DELETE FROM sessions WHERE sha256 IN (SELECT sha256 FROM sessions WHERE expires_at < now() LIMIT 1000)",
    )
    .execute(&mut *tx)
    .await?;
    let secret: [u8; 32] = rand::random();
    let value = hex::encode(secret);
    sqlx::query(
        "-- sessions::begin
         INSERT INTO sessions (sha256, user_id, source, credential, admin, may_write, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, least(now() + make_interval(days => $7), to_timestamp($8)))",
    )
    .bind(Sha256::digest(&value).to_vec())
    .bind(grant.user_id)
    .bind(grant.source.name())
    .bind(grant.credential.to_vec())
    .bind(grant.admin)
    .bind(grant.may_write)
    .bind(MAX_DAYS)
    .bind(grant.ends_at.map(|end| end.clamp(0.0, LATEST_END)))
    .execute(tx)
    .await?;
    Ok(value)
}

/// The rows of the sessions that have not ended by time.
pub(super) async fn read(connection: &mut PgConnection, ids: &[SessionId]) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(
        "-- sessions::read
         SELECT sessions.sha256, sessions.user_id, source, credential, admin, may_write, token.scope,
                last_seen_at < now() - interval '1 hour' AS is_stale
         FROM sessions
         LEFT JOIN api_tokens AS token ON source = 'api_token' AND token.sha256 = credential
             AND revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > now())
         WHERE sessions.sha256 = ANY ($1) AND sessions.expires_at > now()
             AND last_seen_at > now() - interval '7 days'",
    )
    .bind(ids.iter().map(|id| id.0.to_vec()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// Records that a session is in use.
pub(super) async fn touch(connection: &mut PgConnection, id: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query("-- sessions::touch\nUPDATE sessions SET last_seen_at = now() WHERE sha256 = $1")
        .bind(id.0.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends a session.
pub(crate) async fn end(connection: &mut PgConnection, id: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query("-- sessions::end\nDELETE FROM sessions WHERE sha256 = $1")
        .bind(id.0.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}
