//! Errors of a benchmark. Each ends its measurement, which then has no result.

use std::fmt::Display;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The database refused or was lost.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The server.
    #[error(transparent)]
    Server(#[from] bedel_test_support::ClusterError),
    /// The machine has no PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] bedel_postgres::PostgresError),
    /// A file, a pipe or a process.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A result file or a worker's report that cannot be read.
    #[error("a report cannot be read or written: {0}")]
    Json(#[from] serde_json::Error),
    /// A queue returned an error.
    #[error("{0}")]
    Peer(String),
    /// The work did not end in time.
    #[error("{contender}: {what} not done after {seconds} s")]
    Late {
        /// Whose work.
        contender: &'static str,
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// The work was done wrong, so its speed means nothing.
    #[error("{contender}: {what}")]
    Wrong {
        /// Whose work.
        contender: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The run was interrupted.
    #[error("stopped; nothing is left behind")]
    Interrupted,
    /// The command line asks for something that does not exist.
    #[error("{0}")]
    Usage(String),
}

/// The result of anything here.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;

/// Converts another queue's error. Only its text matters.
pub fn peer(error: impl Display) -> BenchError {
    BenchError::Peer(error.to_string())
}

/// An input or output error with what was tried.
pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> BenchError {
    let what = what.into();
    move |source| BenchError::Io { what, source }
}
