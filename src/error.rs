//! Why a command failed, and the exit code for it.

/// Exit code for input or configuration that cannot work.
pub const EXIT_USAGE: u8 = 2;

/// Why a command failed. The text is for the person who typed it.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments or the configuration cannot work: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// A database error.
    #[must_use]
    pub fn database(error: &sqlx::Error) -> Self {
        Self::Failed(format!("database: {error}"))
    }
}

impl From<sqlx::Error> for CliError {
    fn from(error: sqlx::Error) -> Self {
        Self::database(&error)
    }
}

impl From<&CliError> for std::process::ExitCode {
    fn from(error: &CliError) -> Self {
        match error {
            CliError::Usage(_) => Self::from(EXIT_USAGE),
            CliError::Failed(_) => Self::FAILURE,
        }
    }
}
