//! How to run a server.

use std::path::PathBuf;

/// Whether acknowledged commits survive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL's defaults: an acknowledged commit is on disk.
    Full,
    /// No syncing: an acknowledged commit survives a server crash but not a machine crash. For tests.
    Off,
}

/// How the guard stops the server when its owner is gone. [`Server::stop`](crate::Server::stop) is always
/// orderly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Closes connections and writes a checkpoint (SIGINT): the next start is fast.
    Fast,
    /// Ends everything at once (SIGQUIT): the next start replays the log.
    Immediate,
}

/// Options of [`Server::start`](crate::Server::start).
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The cluster's directory, created if missing. One per major version, for example `.data/pg15`.
    pub data_dir: PathBuf,
    /// Whether commits are synced.
    pub durability: Durability,
    /// The directory of `postgres` and `initdb`. `None`: [`find_binaries`](crate::find_binaries) searches for
    /// it.
    pub binaries: Option<PathBuf>,
    /// How the guard stops the server if this process ends without stopping it.
    pub stop_mode: StopMode,
}
