//! Reads the caller of a request from its `Authorization` header, or from its session's cookie.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::super::problem::Problem;
use super::super::state::ApiState;
use super::caller::Caller;
use super::same_origin::is_same_origin;
use super::sessions::SessionId;

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = match parts.headers.get(header::AUTHORIZATION) {
            Some(value) => {
                let credential =
                    value.to_str().ok().and_then(bearer).ok_or_else(Problem::unknown_credential)?;
                state.authenticator.caller(&state.pool, credential).await?
            }
            None => of_session(parts, state).await?,
        };
        if caller.may_write || parts.method.is_safe() {
            return Ok(caller);
        }
        Err(Problem::forbidden("The token's scope does not allow this. Create one with a larger scope."))
    }
}

/// The caller behind the session's cookie. Only our own pages may use it.
async fn of_session(parts: &Parts, state: &ApiState) -> Result<Caller, Problem> {
    let unauthenticated = || {
        Problem::unauthenticated(
            "Sign in first: send a token as `Authorization: Bearer …`.",
            r#"Bearer realm="bedel""#,
        )
    };
    let id = SessionId::of(&parts.headers).ok_or_else(unauthenticated)?;
    if !is_same_origin(&parts.method, &parts.headers) {
        return Err(Problem::cross_site());
    }
    state.authenticator.session(&state.pool, id).await?.ok_or_else(unauthenticated)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A caller who is an admin; 403 for others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin(pub(crate) Caller);

impl FromRequestParts<ApiState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.admin { Ok(Self(caller)) } else { Err(Problem::forbidden("This needs an admin's token.")) }
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
