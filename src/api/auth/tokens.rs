//! Bearer tokens of the configuration.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::caller::Caller;

/// The configured tokens. Holds digests only; cheap to clone.
#[derive(Clone, Default)]
pub struct Tokens(Arc<[Token]>);

/// A token's SHA-256 and its user.
#[derive(Clone)]
pub struct Token {
    /// SHA-256 of the token's bytes.
    pub sha256: [u8; 32],
    /// Its user.
    pub user_id: Uuid,
    /// Whether its user is an admin.
    pub admin: bool,
}

impl Token {
    /// Keeps only the digest of `token`.
    #[must_use]
    pub fn new(token: &str, user_id: Uuid, admin: bool) -> Self {
        Self { sha256: Sha256::digest(token).into(), user_id, admin }
    }
}

impl Tokens {
    /// Wraps a list of tokens.
    #[must_use]
    pub fn new(tokens: Vec<Token>) -> Self {
        Self(tokens.into())
    }

    /// True without any token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The caller behind a token, by its SHA-256. Compares every known digest to its last byte, so the time taken
    /// reveals nothing.
    pub(super) fn find_digest(&self, presented: [u8; 32]) -> Option<Caller> {
        let mut found = None;
        for token in self.0.iter() {
            let difference = token.sha256.iter().zip(presented).fold(0, |seen, (a, b)| seen | (a ^ b));
            if std::hint::black_box(difference) == 0 {
                found = Some(Caller { user_id: token.user_id, admin: token.admin, may_write: true });
            }
        }
        found
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tokens({})", self.0.len())
    }
}

/// Why a list of tokens is invalid. Names the entry, never the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} of the token list: {problem}")]
pub struct TokensError {
    entry: usize,
    problem: &'static str,
}

/// Reads `token=user-uuid[:admin],…`. An empty text is an empty list.
impl FromStr for Tokens {
    type Err = TokensError;

    fn from_str(text: &str) -> Result<Self, TokensError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let tokens = entries.enumerate().map(|(index, entry)| {
            entry_of(entry).map_err(|problem| TokensError { entry: index + 1, problem })
        });
        tokens.collect::<Result<Vec<_>, _>>().map(Self::new)
    }
}

fn entry_of(entry: &str) -> Result<Token, &'static str> {
    // From the right: a base64 token may end in `=`.
    let (token, owner) = entry.rsplit_once('=').ok_or("expected token=user-uuid or token=user-uuid:admin")?;
    let (user, admin) = match owner.split_once(':') {
        None => (owner, false),
        Some((user, "admin")) => (user, true),
        Some(_) => return Err("the only word after the user is :admin"),
    };
    if token.is_empty() {
        return Err("the token is empty");
    }
    let user_id = user.parse().map_err(|_| "the user is not a UUID")?;
    Ok(Token::new(token, user_id, admin))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "7d3d1f3c-7b1e-4c5c-9a52-8c4d5e6f7a8b";

    #[test]
    fn a_list_of_tokens_is_read_and_looked_up() {
        let tokens: Tokens = format!("abc=={USER}, root={USER}:admin,").parse().unwrap();
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
        let find = |token: &str| tokens.find_digest(Sha256::digest(token).into());
        assert!(!find("abc=").unwrap().admin);
        assert!(find("root").unwrap().admin);
        assert!(find("abc").is_none());
        assert!(find("").is_none());
        assert!("".parse::<Tokens>().unwrap().is_empty());
    }

    #[test]
    fn a_bad_list_is_refused_without_showing_it() {
        for text in ["hush", "hush=nobody", &format!("={USER}"), &format!("hush={USER}:root")] {
            let error = text.parse::<Tokens>().unwrap_err().to_string();
            assert!(error.starts_with("entry 1") && !error.contains("hush"), "{error}");
        }
    }
}
