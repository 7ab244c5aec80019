//! Errors of a private server. Each text says what to do.

use std::io;
use std::path::PathBuf;

/// Why a private server is not available. The texts are for the user at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable PostgreSQL found in the usual places.
    #[error(
        "PostgreSQL 13 or newer is not installed (searched pg_config, /usr/lib/postgresql, /usr/pgsql-*, Homebrew and PATH).\n\
         Debian, Ubuntu: apt-get install -y --no-install-recommends postgresql\n\
         Fedora:         dnf install -y postgresql-server\n\
         macOS:          brew install postgresql@17\n\
         Or name its directory with --pg-bin, or use a running server: DATABASE_URL=postgresql://…"
    )]
    NoBinaries,
    /// The directory holds no PostgreSQL that we can run.
    #[error("no usable PostgreSQL in {dir}: {reason}", dir = dir.display())]
    UnusableBinaries {
        /// The directory of `postgres` and `initdb`.
        dir: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// `initdb` needs a user name and this user id has none, or root finds no other user to run the server
    /// as.
    #[error(
        "{reason}, and PostgreSQL needs one to create a cluster; \
         run as a user with an entry in the passwd database, or set DATABASE_URL to a running server"
    )]
    NoAccount {
        /// Which user is missing.
        reason: String,
    },
    /// The data directory cannot be used as it is.
    #[error("cannot use {dir} as a database cluster: {reason}", dir = dir.display())]
    UnusableDirectory {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Another process has locked the data directory, and its server did not become ready in time.
    #[error("{dir} is locked by process {owner}, whose server is not ready; wait for that process or end it", dir = dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The process id in the lock file, or `unknown`.
        owner: String,
    },
    /// `initdb` failed.
    #[error("initdb failed:\n{output}")]
    Initdb {
        /// What it printed.
        output: String,
    },
    /// The server exited while it was starting.
    #[error("PostgreSQL did not start ({status}); last lines of {log}:\n{tail}", log = log.display())]
    Exited {
        /// The exit status.
        status: String,
        /// The server's log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server runs but was not ready, or not gone, in time.
    #[error("PostgreSQL in {dir} was still {state} after {seconds} s", dir = dir.display())]
    Timeout {
        /// The data directory.
        dir: PathBuf,
        /// `starting` or `stopping`.
        state: &'static str,
        /// The wait, in seconds.
        seconds: u64,
    },
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What failed, as a verb phrase.
        action: String,
        /// The system's error.
        source: io::Error,
    },
    /// The server refused a statement or a connection.
    #[error("the private PostgreSQL server failed: {0}")]
    Database(#[from] sqlx::Error),
}

impl PostgresError {
    /// For `map_err`: adds the action that failed.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
