//! Text that is never shown.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Text that `Debug` does not show and that has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value of a variable that no flag stands for: a command line can be read by every user of the machine. `None`
    /// where it is not set, or set to nothing.
    #[must_use]
    pub fn of_variable(name: &str) -> Option<Self> {
        let value = std::env::var_os(name)?;
        Some(Self(value.to_string_lossy().into_owned())).filter(|secret| !secret.is_empty())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True where a variable is set to nothing, which counts as not set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    /// Never: what is wrong with a secret is said later, in words that do not repeat it.
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", super::Secret::new("hunter2")).contains("hunter2"));
    }
}
