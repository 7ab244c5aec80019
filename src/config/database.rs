//! The database.

use clap::Args;
use secrecy::SecretString;

use super::secret::is_blank;

/// The database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseOptions {
    /// PostgreSQL 13 to 18, as postgresql://user:password@host:5432/database. Without it `bedel dev` runs a
    /// private server, which the other commands use while it runs. A URL with a password belongs in the
    /// environment or in .env: every user of the machine can read a command line
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<SecretString>,
}

impl DatabaseOptions {
    /// The configured URL.
    #[must_use]
    pub fn url(&self) -> Option<&SecretString> {
        self.database_url.as_ref().filter(|url| !is_blank(url))
    }
}
