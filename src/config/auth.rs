//! Who may call the API.

use std::collections::HashSet;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use super::{parse, secret};
use crate::api::{ASK_AGAIN_AFTER, Authenticator, Jwks, Jwt, JwtAlgorithm, JwtKeys, Tokens};

/// Who may call the API.
#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "Who may call the API (and whoever has a token of `bedel token create`)",
    after_help = "In the environment or in .env alone, since a command line can be read by every user of the machine:\n  \
                  [env: BEDEL_TOKENS] fixed tokens: token=user-uuid, or token=user-uuid:admin, separated by commas\n  \
                  [env: BEDEL_JWT_SECRET] the secret of an identity provider that signs its JWTs with one"
)]
pub struct AuthOptions {
    /// Where the identity provider publishes its keys
    #[arg(long, env = "BEDEL_JWKS_URL", value_name = "https://HOST/…/jwks.json")]
    pub jwks_url: Option<Url>,

    /// Who must have issued a JWT: its claim iss
    #[arg(long, env = "BEDEL_JWT_ISSUER", value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// Whom a JWT must be for: its claim aud
    #[arg(long, env = "BEDEL_JWT_AUDIENCE", value_name = "TEXT")]
    pub jwt_audience: Option<String>,

    /// What a JWT must be signed with; RS256 with published keys and HS256 with a secret where it is not set
    #[arg(long, env = "BEDEL_JWT_ALGORITHM", value_name = "NAME")]
    pub jwt_algorithm: Option<JwtAlgorithm>,

    /// Users who are admins however they sign in, separated by commas
    #[arg(long, env = "ADMIN_USER_IDS", value_delimiter = ',', value_name = "UUID,…")]
    pub admin_user_ids: Vec<Uuid>,
}

impl AuthOptions {
    /// The fixed tokens, if there are any: those of `BEDEL_TOKENS`.
    #[must_use]
    pub fn tokens() -> Option<SecretString> {
        secret::from_variable("BEDEL_TOKENS")
    }

    /// Who may call the API.
    ///
    /// # Errors
    /// Where nobody could be let in, or the parts do not fit together, in words that show no secret.
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
            return Err("nobody could use the API. Set BEDEL_JWKS_URL and BEDEL_JWT_ISSUER for an identity provider, or \
                        BEDEL_TOKENS to token=user-uuid, with :admin at the end for an administrator, separated by commas. A \
                        good token: openssl rand -hex 32. A user id: cat /proc/sys/kernel/random/uuid. `bedel dev` makes its \
                        own."
                .to_owned());
        }
        Ok(authenticator)
    }

    fn jwt(&self, secret: Option<SecretString>) -> Result<Option<Jwt>, String> {
        let keys = match (self.jwks_url.clone(), secret) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err("BEDEL_JWKS_URL and BEDEL_JWT_SECRET are both set: keep one of them".to_owned());
            }
            (None, Some(secret)) => JwtKeys::Secret(secret),
            (Some(url), None) if is_safe_source(&url) => {
                let keys = Jwks::new(url, ASK_AGAIN_AFTER).map_err(|error| format!("BEDEL_JWKS_URL: {error}"))?;
                JwtKeys::Published(keys)
            }
            (Some(_), None) => return Err("BEDEL_JWKS_URL: it must begin with https://, or whoever is on the way could sign in as anybody"
                    .to_owned()),
        };
        let shared = matches!(keys, JwtKeys::Secret(_));
        let usual = if shared { JwtAlgorithm::HS256 } else { JwtAlgorithm::RS256 };
        let algorithm = self.jwt_algorithm.unwrap_or(usual);
        if algorithm.is_shared_secret() != shared {
            return Err("BEDEL_JWT_ALGORITHM: HS256, HS384 and HS512 need BEDEL_JWT_SECRET, the others BEDEL_JWKS_URL".to_owned());
        }
        let issuer = self.jwt_issuer.as_deref().filter(|issuer| !issuer.trim().is_empty());
        let issuer = issuer.ok_or("BEDEL_JWT_ISSUER is not set: JWTs of any issuer would be accepted")?;
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
    fn an_api_that_lets_nobody_in_does_not_start() {
        let error = options().with(None, None).unwrap_err();
        assert!(error.contains("BEDEL_TOKENS") && error.contains("token=user-uuid"), "{error}");
        let error = options().with(Some(&SecretString::from("hunter2")), None).unwrap_err();
        assert!(error.contains("BEDEL_TOKENS") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_does_not_fit_together_is_said_without_the_secret() {
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
