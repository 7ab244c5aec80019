//! Authentication: a JWT of an identity provider, a user's API token, a token of the configuration, or the session of a
//! browser that signed in with one of these.

pub mod api_tokens;
mod authenticator;
mod caller;
pub(crate) mod cookies;
mod extract;
mod forwarded;
mod jwks;
mod jwt;
pub(crate) mod same_origin;
pub(crate) mod sessions;
pub mod sign_in_codes;
mod tokens;

pub use self::authenticator::Authenticator;
pub(crate) use self::caller::Caller;
pub(super) use self::extract::Admin;
pub use self::jwks::{ASK_AGAIN_AFTER, Jwks};
pub use self::jwt::{Jwt, JwtAlgorithm, JwtKeys};
pub use self::tokens::{Token, Tokens, TokensError};
