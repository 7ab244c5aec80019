//! Who is asking: a JWT of an identity provider, an API token of a user's, or a token of the configuration.

mod jwks;
mod jwt;
mod tokens;

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use uuid::Uuid;

pub use self::jwks::{ASK_AGAIN_AFTER, Jwks};
pub use self::jwt::{Jwt, JwtAlgorithm, JwtKeys};
pub use self::tokens::{Token, Tokens, TokensError};
use super::ApiState;
use super::problem::Problem;
use crate::api_tokens;

/// Everybody who may ask. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Authenticator {
    tokens: Tokens,
    jwt: Option<Arc<Jwt>>,
    admins: Arc<HashSet<Uuid>>,
}

impl Authenticator {
    /// Those behind the configuration's tokens, those whom `jwt` vouches for, and whoever has an API token; `admins` are
    /// admins, but with an API token that was made for less.
    #[must_use]
    pub fn new(tokens: Tokens, jwt: Option<Jwt>, admins: HashSet<Uuid>) -> Self {
        Self { tokens, jwt: jwt.map(Arc::new), admins: Arc::new(admins) }
    }

    /// True where only API tokens could let anybody in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.jwt.is_none()
    }

    async fn caller(&self, state: &ApiState, credential: &str) -> Result<Caller, Problem> {
        let caller = if let Some(caller) = self.tokens.find(credential) {
            caller
        } else if credential.starts_with(api_tokens::PREFIX) {
            let mut connection = state.acquire().await?;
            let found = api_tokens::find(&mut connection, credential).await?.ok_or_else(unknown)?;
            let admin = found.scope == api_tokens::ADMIN;
            let may_write = admin || found.scope == api_tokens::WRITE;
            // An API token of an admin's is an admin's only where it was made one.
            return Ok(Caller { user_id: found.user_id, admin, may_write });
        } else if let Some(jwt) = &self.jwt {
            Caller { user_id: jwt.user(credential).await?, admin: false, may_write: true }
        } else {
            return Err(unknown());
        };
        Ok(Caller { admin: caller.admin || self.admins.contains(&caller.user_id), ..caller })
    }
}

/// The user behind the request; 401 without one, 403 where the credential is not for this method.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) user_id: Uuid,
    pub(super) admin: bool,
    /// False for a token that was made for looking alone.
    may_write: bool,
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(Problem::unauthenticated(
                "Sign in first: send a token as `Authorization: Bearer …`.",
                r#"Bearer realm="bedel""#,
            ));
        };
        let credential = value.to_str().ok().and_then(bearer).ok_or_else(unknown)?;
        let caller = state.authenticator.caller(state, credential).await?;
        if caller.may_write || parts.method.is_safe() {
            return Ok(caller);
        }
        Err(Problem::forbidden("This token was not made for that. Make one with the scope that is needed."))
    }
}

/// 401 that says no more than it must.
fn unknown() -> Problem {
    Problem::unauthenticated(
        "This token is not known here, or not valid any more. Sign in again.",
        r#"Bearer realm="bedel", error="invalid_token""#,
    )
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A caller who is an admin; 403 for others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admin;

impl FromRequestParts<ApiState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.admin { Ok(Self) } else { Err(Problem::forbidden("This needs an admin's token.")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
