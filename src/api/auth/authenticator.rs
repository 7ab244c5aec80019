//! Finds the user behind a credential.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::super::connections;
use super::super::problem::Problem;
use super::api_tokens;
use super::caller::Caller;
use super::jwt::{Jwt, Verified};
use super::sessions::{self, Grant, SessionId, Source};
use super::tokens::Tokens;

/// All accepted credentials. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Authenticator {
    tokens: Tokens,
    jwt: Option<Arc<Jwt>>,
    admins: Arc<HashSet<Uuid>>,
}

impl Authenticator {
    /// Accepts `tokens`, JWTs that pass `jwt`, and API tokens. Users in `admins` are admins, except through
    /// an API token of a lower scope.
    #[must_use]
    pub fn new(tokens: Tokens, jwt: Option<Jwt>, admins: HashSet<Uuid>) -> Self {
        Self { tokens, jwt: jwt.map(Arc::new), admins: Arc::new(admins) }
    }

    /// True if only API tokens are accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.jwt.is_none()
    }

    /// The caller behind a credential.
    pub(super) async fn caller(&self, pool: &PgPool, credential: &str) -> Result<Caller, Problem> {
        let Grant { user_id, admin, may_write, .. } = self.grant(pool, credential).await?;
        Ok(Caller { user_id, admin, may_write })
    }

    /// What a session that begins with a credential may do.
    pub(crate) async fn grant(&self, pool: &PgPool, credential: &str) -> Result<Grant, Problem> {
        let sha256 = Sha256::digest(credential).into();
        let grant = |source, user_id, admin, may_write, ends_at| Grant {
            user_id,
            source,
            credential: sha256,
            admin,
            may_write,
            ends_at,
        };
        if let Some(caller) = self.tokens.find_digest(sha256) {
            let admin = caller.admin || self.is_admin(caller.user_id);
            Ok(grant(Source::Configured, caller.user_id, admin, caller.may_write, None))
        } else if credential.starts_with(api_tokens::PREFIX) {
            let mut connection = connections::acquire(pool).await?;
            let found = api_tokens::find(&mut connection, credential)
                .await?
                .ok_or_else(Problem::unknown_credential)?;
            let caller = of_api_token(found.user_id, &found.scope);
            Ok(grant(Source::ApiToken, caller.user_id, caller.admin, caller.may_write, None))
        } else if let Some(jwt) = &self.jwt {
            let Verified { user_id, expires_at } = jwt.verify(credential).await?;
            Ok(grant(Source::Jwt, user_id, self.is_admin(user_id), true, Some(expires_at)))
        } else {
            Err(Problem::unknown_credential())
        }
    }

    /// The caller of a session; `None` if it has ended.
    pub(crate) async fn session(&self, pool: &PgPool, id: SessionId) -> Result<Option<Caller>, Problem> {
        let mut connection = connections::acquire(pool).await?;
        let row = sessions::read(&mut connection, &[id]).await?.pop();
        if row.as_ref().is_some_and(|row| row.is_stale) {
            sessions::touch(&mut connection, id).await?;
        }
        Ok(row.and_then(|row| self.of_session(&row)))
    }

    /// The sessions among `ids` that have not ended. One statement.
    pub(crate) async fn live_sessions(
        &self,
        connection: &mut PgConnection,
        ids: &[SessionId],
    ) -> Result<HashSet<SessionId>, sqlx::Error> {
        let rows = sessions::read(connection, ids).await?;
        let live = rows.iter().filter(|row| self.of_session(row).is_some());
        Ok(live.filter_map(|row| row.sha256.as_slice().try_into().ok().map(SessionId)).collect())
    }

    /// A session has the rights that its credential has now.
    fn of_session(&self, row: &sessions::Row) -> Option<Caller> {
        let user_id = row.user_id;
        match Source::named(&row.source)? {
            Source::Configured => {
                let caller = self.tokens.find_digest(row.credential.as_slice().try_into().ok()?)?;
                Some(Caller { admin: caller.admin || self.is_admin(caller.user_id), ..caller })
            }
            Source::ApiToken => row.scope.as_deref().map(|scope| of_api_token(user_id, scope)),
            Source::Jwt => {
                self.jwt.as_ref().map(|_| Caller { user_id, admin: self.is_admin(user_id), may_write: true })
            }
            Source::Code => Some(Caller { user_id, admin: row.admin, may_write: row.may_write }),
        }
    }

    fn is_admin(&self, user_id: Uuid) -> bool {
        self.admins.contains(&user_id)
    }
}

/// An admin's API token has admin rights only with the scope `admin`.
fn of_api_token(user_id: Uuid, scope: &str) -> Caller {
    let admin = scope == api_tokens::ADMIN;
    Caller { user_id, admin, may_write: admin || scope == api_tokens::WRITE }
}
