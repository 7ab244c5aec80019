//! JSON Web Tokens (RFC 7519) of an identity provider.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::super::problem::Problem;
use super::jwks::{Jwks, JwksError};

/// Allowed clock difference between machines.
const LEEWAY_SECONDS: u64 = 30;

/// The one accepted signature algorithm; a token's own header does not choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[clap(rename_all = "verbatim")]
#[expect(missing_docs, reason = "the names of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    ES256,
    ES384,
    EdDSA,
}

impl JwtAlgorithm {
    /// True for algorithms with a shared secret.
    #[must_use]
    pub fn is_shared_secret(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

impl From<JwtAlgorithm> for Algorithm {
    fn from(algorithm: JwtAlgorithm) -> Self {
        match algorithm {
            JwtAlgorithm::HS256 => Self::HS256,
            JwtAlgorithm::HS384 => Self::HS384,
            JwtAlgorithm::HS512 => Self::HS512,
            JwtAlgorithm::RS256 => Self::RS256,
            JwtAlgorithm::RS384 => Self::RS384,
            JwtAlgorithm::RS512 => Self::RS512,
            JwtAlgorithm::ES256 => Self::ES256,
            JwtAlgorithm::ES384 => Self::ES384,
            JwtAlgorithm::EdDSA => Self::EdDSA,
        }
    }
}

/// Source of the keys.
#[derive(Debug)]
pub enum JwtKeys {
    /// A shared secret.
    Secret(SecretString),
    /// The provider's public keys.
    Published(Jwks),
}

/// Validates tokens.
pub struct Jwt {
    keys: Keys,
    validation: Validation,
}

enum Keys {
    Shared(DecodingKey),
    Published(Jwks),
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").finish_non_exhaustive()
    }
}

/// The claims that are read.
#[derive(Deserialize)]
struct Claims {
    external_id: Option<String>,
    sub: Option<String>,
    /// In seconds since 1970.
    exp: f64,
}

/// A valid token's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verified {
    pub(super) user_id: Uuid,
    /// End of validity, in seconds since 1970.
    pub(super) expires_at: f64,
}

impl Jwt {
    /// Accepts tokens that `issuer` signed with `algorithm`, for `audience` if one is given. Without one, a
    /// token that names an audience is refused.
    #[must_use]
    pub fn new(keys: JwtKeys, algorithm: JwtAlgorithm, issuer: &str, audience: Option<&str>) -> Self {
        let mut validation = Validation::new(algorithm.into());
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        if let Some(audience) = audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        let keys = match keys {
            JwtKeys::Secret(secret) => {
                Keys::Shared(DecodingKey::from_secret(secret.expose_secret().as_bytes()))
            }
            JwtKeys::Published(jwks) => Keys::Published(jwks),
        };
        Self { keys, validation }
    }

    /// The user and the end of a valid token.
    pub(super) async fn verify(&self, token: &str) -> Result<Verified, Problem> {
        let claims = match &self.keys {
            Keys::Shared(key) => {
                decode::<Claims>(token, key, &self.validation).map_err(|error| refused(&error))?.claims
            }
            Keys::Published(jwks) => self.verify_published(token, jwks).await?,
        };
        let raw = [claims.external_id, claims.sub].into_iter().flatten().find(|id| !id.trim().is_empty());
        let raw = raw.ok_or_else(|| {
            Problem::forbidden("This token names no user: it has neither external_id nor sub.")
        })?;
        Ok(Verified { user_id: user_id(&raw), expires_at: claims.exp })
    }

    async fn verify_published(&self, token: &str, jwks: &Jwks) -> Result<Claims, Problem> {
        let header = decode_header(token).map_err(|_| Problem::unknown_credential())?;
        let Some(&algorithm) = self.validation.algorithms.first().filter(|only| **only == header.alg) else {
            return Err(Problem::unknown_credential());
        };
        let id = header.kid.as_deref();
        let keys = jwks.keys(id, algorithm).await.map_err(|error| match error {
            JwksError::Unknown => Problem::unknown_credential(),
            JwksError::Unavailable => Problem::unavailable(
                "The identity provider's keys are unavailable. Try again in a few seconds.",
            ),
        })?;
        if let Some(outcome) = self.decode_with(token, &keys) {
            return outcome;
        }
        let replaced = jwks.replaced_keys(id, algorithm).await.unwrap_or_default();
        self.decode_with(token, &replaced).unwrap_or_else(|| Err(Problem::unknown_credential()))
    }

    /// The claims, or why they are refused, by the first key that verifies the signature. None if no key does.
    fn decode_with(&self, token: &str, keys: &[DecodingKey]) -> Option<Result<Claims, Problem>> {
        keys.iter().find_map(|key| match decode::<Claims>(token, key, &self.validation) {
            Ok(decoded) => Some(Ok(decoded.claims)),
            // The next key may be the signer's, also if this one is no point of its curve.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidSignature | ErrorKind::InvalidEcdsaKey | ErrorKind::InvalidEddsaKey
                ) =>
            {
                None
            }
            Err(error) => Some(Err(refused(&error))),
        })
    }
}

/// A UUID is used as it is. Any other id maps to a fixed UUID.
fn user_id(raw: &str) -> Uuid {
    Uuid::try_parse(raw).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_URL, raw.as_bytes()))
}

fn refused(error: &jsonwebtoken::errors::Error) -> Problem {
    if let ErrorKind::ExpiredSignature = error.kind() {
        return Problem::unauthenticated(
            "Your sign-in has expired. Sign in again.",
            r#"Bearer realm="bedel", error="invalid_token", error_description="expired""#,
        );
    }
    Problem::unknown_credential()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_id_never_changes() {
        let uuid = "7d3d1f3c-7b1e-4c5c-9a52-8c4d5e6f7a8b";
        assert_eq!(user_id(uuid).to_string(), uuid);
        // python3 -c 'import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, "user_2abc"))'
        assert_eq!(user_id("user_2abc").to_string(), "9763d1d9-4a58-578e-b4b8-11635ab88e54");
    }
}
