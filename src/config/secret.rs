//! Secrets come from variables, not flags: every user of the machine can read a command line.

use secrecy::{ExposeSecret, SecretString};

/// The value of an environment variable. `None` if it is unset or blank.
#[must_use]
pub fn from_variable(name: &str) -> Option<SecretString> {
    let value = std::env::var_os(name)?;
    Some(SecretString::from(value.to_string_lossy().into_owned())).filter(|secret| !is_blank(secret))
}

/// True for a blank value, which counts as unset.
#[must_use]
pub fn is_blank(secret: &SecretString) -> bool {
    secret.expose_secret().trim().is_empty()
}
