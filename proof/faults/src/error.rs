//! Errors of the suite itself. A broken promise is not an error: it is counted.

use std::path::{Path, PathBuf};

/// Why the suite, or one round, stopped.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// A file or a process.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A statement of the suite itself.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema.
    #[error("migrations: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The queue's schema.
    #[error(transparent)]
    Queue(#[from] bedel_queue::migrate::MigrateError),
    /// The server.
    #[error(transparent)]
    Server(#[from] bedel_test_support::ClusterError),
    /// A worker that did not start.
    #[error(transparent)]
    Worker(#[from] bedel_queue::WorkerError),
    /// A scheduler that did not start.
    #[error(transparent)]
    Scheduler(#[from] bedel_queue::ScheduleError),
    /// A timeout of the suite.
    #[error("not in time: {0}")]
    Late(String),
    /// A name that no scenario has.
    #[error("there is no scenario `{name}`; there are: {known}")]
    UnknownScenario {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A document without the two marks.
    #[error("{0} has no place for the table: its two marks are missing")]
    NoMarks(PathBuf),
    /// The preconditions of a scenario failed.
    #[error("{0}")]
    Setup(String),
}

impl FaultsError {
    /// For `map_err`: what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: what was tried with a file.
    pub fn file(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        Self::io(format!("{what} {}", path.display()))
    }
}
