//! Errors of a worker.

/// Why a worker did not start or ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Slots name a kind that is not registered.
    #[error("slots name the kind `{0}`, which is not registered; registered kinds: {1}")]
    UnknownKind(String, String),
    /// The heartbeat thread could not be started.
    #[error("could not start the heartbeat thread: {0}")]
    Heartbeat(std::io::Error),
    /// A background part of the worker ended: a bug. Restart the process.
    #[error("{0} ended unexpectedly; this worker released its jobs")]
    Ended(&'static str),
    /// A kind's policy has a group limit of 0.
    #[error(
        "`{0}` has a `group_limit` of 0, so its jobs with a group could never run; pause its queue instead"
    )]
    ZeroGroupLimit(&'static str),
    /// The database refused a check of [`drain`](crate::drain()). A worker itself never ends because of the database.
    #[error("the database refused to count the remaining jobs: {0}")]
    Database(sqlx::Error),
}
