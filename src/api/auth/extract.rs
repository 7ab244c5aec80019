//! Reads the caller of a request from its `Authorization` header.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::super::problem::Problem;
use super::super::state::ApiState;
use super::caller::Caller;

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(Problem::unauthenticated(
                "Sign in first: send a token as `Authorization: Bearer …`.",
                r#"Bearer realm="bedel""#,
            ));
        };
        let credential = value.to_str().ok().and_then(bearer).ok_or_else(Problem::unknown_credential)?;
        let caller = state.authenticator.caller(&state.pool, credential).await?;
        if caller.may_write || parts.method.is_safe() {
            return Ok(caller);
        }
        Err(Problem::forbidden("The token's scope does not allow this. Create one with a larger scope."))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A caller who is an admin; 403 for others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin;

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
