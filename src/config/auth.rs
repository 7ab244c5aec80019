//! Authentication of API callers.

use std::collections::HashSet;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use super::{parse, secret};
use crate::api::{ASK_AGAIN_AFTER, Authenticator, Jwks, Jwt, JwtAlgorithm, JwtKeys, Tokens};

/// Authentication of API callers.
#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "Authentication (besides tokens of `bedel token create`)",
    after_help = "Secrets, in the environment or in .env only, since every user of the machine can read a \
        command line:\n  [env: BEDEL_TOKENS] fixed tokens: token=user-uuid, or token=user-uuid:admin, \
        separated by commas\n  [env: BEDEL_JWT_SECRET] shared secret of an identity provider that signs JWTs \
        with one"
)]
pub struct AuthOptions {
    /// URL of the identity provider's keys
    #[arg(long, env = "BEDEL_JWKS_URL", value_name = "https://HOST/…/jwks.json")]
    pub jwks_url: Option<Url>,

    /// Required issuer of a JWT (claim iss)
    #[arg(long, env = "BEDEL_JWT_ISSUER", value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// Required audience of a JWT (claim aud)
    #[arg(long, env = "BEDEL_JWT_AUDIENCE", value_name = "TEXT")]
    pub jwt_audience: Option<String>,

    /// Required algorithm of a JWT; by default RS256 with published keys, HS256 with a secret
    #[arg(long, env = "BEDEL_JWT_ALGORITHM", value_name = "NAME")]
    pub jwt_algorithm: Option<JwtAlgorithm>,

    /// Users who are always admins, separated by commas
    #[arg(long, env = "ADMIN_USER_IDS", value_delimiter = ',', value_name = "UUID,…")]
    pub admin_user_ids: Vec<Uuid>,
}

impl AuthOptions {
    /// The fixed tokens of `BEDEL_TOKENS`.
    #[must_use]
    pub fn tokens() -> Option<SecretString> {
        secret::from_variable("BEDEL_TOKENS")
    }

    /// The credentials that the API accepts.
    ///
    /// # Errors
    /// If no credential could be accepted, or the settings conflict. The text shows no secret.
    pub fn authenticator(&self) -> Result<Authenticator, String> {
        self.with(Self::tokens().as_ref(), secret::from_variable("BEDEL_JWT_SECRET"))
    }

    fn with(
        &self,
        tokens: Option<&SecretString>,
        secret: Option<SecretString>,
    ) -> Result<Authenticator, String> {
        let tokens: Tokens = tokens
            .map_or("", ExposeSecret::expose_secret)
            .parse()
            .map_err(|error| format!("BEDEL_TOKENS: {error}"))?;
        let admins: HashSet<Uuid> = self.admin_user_ids.iter().copied().collect();
        let authenticator = Authenticator::new(tokens, self.jwt(secret)?, admins);
        if authenticator.is_empty() {
            return Err(
                "no credential is configured. Set BEDEL_JWKS_URL and BEDEL_JWT_ISSUER for an identity \
                provider, or BEDEL_TOKENS to token=user-uuid, with :admin at the end for an admin, separated \
                by commas. For a token, type: openssl rand -hex 32. For a user id, type: cat \
                /proc/sys/kernel/random/uuid. `bedel dev` makes its own."
                    .to_owned(),
            );
        }
        Ok(authenticator)
    }

    fn jwt(&self, secret: Option<SecretString>) -> Result<Option<Jwt>, String> {
        let keys = match (self.jwks_url.clone(), secret) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err("BEDEL_JWKS_URL and BEDEL_JWT_SECRET are both set: keep one".to_owned());
            }
            (None, Some(secret)) => JwtKeys::Secret(secret),
            (Some(url), None) if is_safe_source(&url) => {
                let keys =
                    Jwks::new(url, ASK_AGAIN_AFTER).map_err(|error| format!("BEDEL_JWKS_URL: {error}"))?;
                JwtKeys::Published(keys)
            }
            (Some(_), None) => {
                return Err("BEDEL_JWKS_URL: it must begin with https://, or a network \
                attacker could sign in as anybody"
                    .to_owned());
            }
        };
        let shared = matches!(keys, JwtKeys::Secret(_));
        let usual = if shared { JwtAlgorithm::HS256 } else { JwtAlgorithm::RS256 };
        let algorithm = self.jwt_algorithm.unwrap_or(usual);
        if algorithm.is_shared_secret() != shared {
            return Err("BEDEL_JWT_ALGORITHM: HS256, HS384 and HS512 need BEDEL_JWT_SECRET, the others \
                BEDEL_JWKS_URL"
                .to_owned());
        }
        let issuer = self.jwt_issuer.as_deref().filter(|issuer| !issuer.trim().is_empty());
        let issuer =
            issuer.ok_or("BEDEL_JWT_ISSUER is not set, so JWTs of any issuer would be accepted. Set it")?;
        Ok(Some(Jwt::new(keys, algorithm, issuer, self.jwt_audience.as_deref())))
    }
}

/// Over https, or from this machine.
fn is_safe_source(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && parse::is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> AuthOptions {
        AuthOptions {
            jwks_url: None,
            jwt_issuer: Some("https://issuer.example".to_owned()),
            jwt_audience: None,
            jwt_algorithm: None,
            admin_user_ids: Vec::new(),
        }
    }

    #[test]
    fn an_api_without_credentials_does_not_start() {
        let error = options().with(None, None).unwrap_err();
        assert!(error.contains("BEDEL_TOKENS") && error.contains("token=user-uuid"), "{error}");
        let error = options().with(Some(&SecretString::from("hunter2")), None).unwrap_err();
        assert!(error.contains("BEDEL_TOKENS") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn conflicting_settings_are_refused_without_the_secret() {
        let secret = || Some(SecretString::from("hunter2"));
        options().with(None, secret()).expect("a secret and an issuer");
        let both = AuthOptions { jwks_url: "https://a.example/".parse().ok(), ..options() };
        let no_issuer = AuthOptions { jwt_issuer: None, ..options() };
        let wrong = AuthOptions { jwt_algorithm: Some(JwtAlgorithm::RS256), ..options() };
        for (options, word) in [(both, "both"), (no_issuer, "ISSUER"), (wrong, "ALGORITHM")] {
            let error = options.with(None, secret()).unwrap_err();
            assert!(error.contains(word) && !error.contains("hunter2"), "{error}");
        }
        for url in ["file:///etc/passwd", "http://issuer.example/jwks.json"] {
            let open = AuthOptions { jwks_url: url.parse().ok(), ..options() };
            assert!(open.with(None, None).unwrap_err().contains("https"), "{url}");
        }
    }
}
