//! What can go wrong with a private server, each with what the user can do about it.

use std::io;
use std::path::PathBuf;

/// Why a private server is not available. Every text is meant for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable PostgreSQL is installed where we look.
    #[error(
        "PostgreSQL 13 or newer is not installed (looked at pg_config, /usr/lib/postgresql, /usr/pgsql-*, Homebrew and PATH).\n\
         Debian, Ubuntu: apt-get install -y --no-install-recommends postgresql\n\
         Fedora:         dnf install -y postgresql-server\n\
         macOS:          brew install postgresql@17\n\
         Or name its directory with --pg-bin, or use a server that runs already: DATABASE_URL=postgresql://…"
    )]
    NoBinaries,
    /// The directory named by the user, or found, does not hold a PostgreSQL that we can run.
    #[error("{dir} does not hold a usable PostgreSQL: {reason}", dir = dir.display())]
    UnusableBinaries {
        /// The directory of programs.
        dir: PathBuf,
        /// What is missing or wrong there.
        reason: String,
    },
    /// `initdb` needs a user name, and this user id has none (or root has no other user to run the server as).
    #[error(
        "{reason}, and PostgreSQL cannot make a database cluster without one; \
         run as a user that has an entry in the passwd database, or set DATABASE_URL to a server that runs already"
    )]
    NoAccount {
        /// Which user is missing.
        reason: String,
    },
    /// The data directory cannot be used as it is.
    #[error("{dir} cannot be used as a database cluster: {reason}", dir = dir.display())]
    UnusableDirectory {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Another process holds the data directory and its server did not become ready in time.
    #[error("{dir} is held by process {holder}, whose server is not ready; wait for it or end it", dir = dir.display())]
    Held {
        /// The data directory.
        dir: PathBuf,
        /// The process id of the holder as it wrote it down, or `unknown`.
        holder: String,
    },
    /// `initdb` failed.
    #[error("initdb failed:\n{output}")]
    Initdb {
        /// What it printed.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("PostgreSQL did not start ({status}); the end of {log}:\n{tail}", log = log.display())]
    Exited {
        /// How the process ended.
        status: String,
        /// The server's log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server is running but was not ready, or not gone, in time.
    #[error("PostgreSQL in {dir} was still {state} after {seconds} s", dir = dir.display())]
    Timeout {
        /// The data directory.
        dir: PathBuf,
        /// What it was doing.
        state: &'static str,
        /// How long we waited.
        seconds: u64,
    },
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What we tried.
        action: String,
        /// What it said.
        source: io::Error,
    },
    /// The running server refused a statement or a connection.
    #[error("the private PostgreSQL server refused: {0}")]
    Database(#[from] sqlx::Error),
}

impl PostgresError {
    /// For `map_err`: names what was tried when the operating system refused it.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
