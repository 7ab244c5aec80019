//! Authentication: a JWT of an identity provider, a user's API token, or a token of the configuration.

pub mod api_tokens;
mod authenticator;
mod caller;
mod extract;
mod jwks;
mod jwt;
mod tokens;

pub use self::authenticator::Authenticator;
pub(super) use self::caller::Caller;
pub(super) use self::extract::Admin;
pub use self::jwks::{ASK_AGAIN_AFTER, Jwks};
pub use self::jwt::{Jwt, JwtAlgorithm, JwtKeys};
pub use self::tokens::{Token, Tokens, TokensError};
