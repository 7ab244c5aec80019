//! Finds the user behind a credential.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::PgPool;
use uuid::Uuid;

use super::super::connections;
use super::super::problem::Problem;
use super::api_tokens;
use super::caller::Caller;
use super::jwt::Jwt;
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

    pub(super) async fn caller(&self, pool: &PgPool, credential: &str) -> Result<Caller, Problem> {
        let caller = if let Some(caller) = self.tokens.find(credential) {
            caller
        } else if credential.starts_with(api_tokens::PREFIX) {
            let mut connection = connections::acquire(pool).await?;
            let found = api_tokens::find(&mut connection, credential)
                .await?
                .ok_or_else(Problem::unknown_credential)?;
            let admin = found.scope == api_tokens::ADMIN;
            let may_write = admin || found.scope == api_tokens::WRITE;
            // An admin's API token has admin rights only with the scope `admin`.
            return Ok(Caller { user_id: found.user_id, admin, may_write });
        } else if let Some(jwt) = &self.jwt {
            Caller { user_id: jwt.user(credential).await?, admin: false, may_write: true }
        } else {
            return Err(Problem::unknown_credential());
        };
        Ok(Caller { admin: caller.admin || self.admins.contains(&caller.user_id), ..caller })
    }
}
