//! The tokens of `bedel dev`. They are made once per data directory, so that extensions and scripts keep
//! working.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state::write_private;
use crate::error::CliError;

/// The file's name in the data directory.
pub const FILE: &str = "dev-tokens.json";

/// A user with an ordinary and an admin token. Secret: no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct DevTokens {
    /// The tokens' user.
    pub user_id: Uuid,
    /// Ordinary token.
    pub token: String,
    /// Admin token.
    pub admin_token: String,
}

impl DevTokens {
    /// Reads the tokens of this data directory, or creates them.
    ///
    /// # Errors
    /// If the file cannot be read, parsed or written.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, CliError> {
        let path = data_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                CliError::Failed(format!("{}: {error}. Remove the file to make new tokens", path.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let tokens = Self {
                    user_id: Uuid::new_v4(),
                    token: random("bedel"),
                    admin_token: random("bedel_admin"),
                };
                write_private(&path, &serde_json::to_vec_pretty(&tokens).expect("plain data is JSON"))?;
                Ok(tokens)
            }
            Err(error) => Err(CliError::Failed(format!("{}: {error}", path.display()))),
        }
    }

    /// `BEDEL_TOKENS` for the API: these tokens and the configured ones.
    #[must_use]
    pub fn setting(&self, configured: Option<&SecretString>) -> String {
        let own = format!("{}={user},{}={user}:admin", self.token, self.admin_token, user = self.user_id);
        match configured {
            Some(more) => format!("{own},{}", more.expose_secret()),
            None => own,
        }
    }
}

/// 244 random bits from the system, as text.
fn random(prefix: &str) -> String {
    format!("{prefix}_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let first = DevTokens::load_or_create(directory.path()).unwrap();
        let second = DevTokens::load_or_create(directory.path()).unwrap();
        assert_eq!(first.token, second.token);
        assert_ne!(first.token, first.admin_token);
        let setting = first.setting(Some(&SecretString::from("x=y")));
        assert!(
            setting.contains(&format!("{}={}:admin", first.admin_token, first.user_id))
                && setting.ends_with(",x=y")
        );
    }
}
