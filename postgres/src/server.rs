//! The server as its owner sees it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::cluster::Cluster;
use crate::error::PostgresError;
use crate::launch::{Launch, READY_WITHIN};
use crate::pidfile::PidFile;
use crate::running::Running;
use crate::{find_binaries, url};

/// How often we ask whether the server is still there.
const GLANCE: Duration = Duration::from_millis(100);

/// Whether what was acknowledged survives a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL's own defaults: an acknowledged commit is on the disk.
    Full,
    /// No syncing: an acknowledged commit survives the server's death but not the machine's. For tests.
    Off,
}

/// How the guard stops the server when its owner is gone. [`Server::stop`] is always orderly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Ends the connections and writes a checkpoint (SIGINT): the next start is quick.
    Fast,
    /// Ends everything at once (SIGQUIT): the next start replays the log.
    Immediate,
}

/// How to run a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The cluster's directory, created when missing. One per major version, for example `.data/pg15`.
    pub data_dir: PathBuf,
    /// Whether commits are synced.
    pub durability: Durability,
    /// The directory of `postgres` and `initdb`; looked for when `None`, see [`find_binaries`].
    pub binaries: Option<PathBuf>,
    /// What the guard does when this process ends without stopping the server.
    pub stop_mode: StopMode,
}

/// A running server. Dropping it stops the server as [`Server::stop`] does, blocking the thread meanwhile (0.1 s when idle).
///
/// When another live process already runs the server of this data directory, this is only a visitor's handle: neither
/// `stop` nor dropping it touches the server.
#[derive(Debug)]
pub struct Server {
    running: Running,
}

impl Server {
    /// Starts the server, or takes over one whose owner died, or attaches to the one that another process runs.
    /// Returns when it accepts connections: 0.1 s for an existing cluster, 1 s for a new one.
    ///
    /// # Errors
    /// See [`PostgresError`]; each text says what to do.
    pub async fn start(options: ServerOptions) -> Result<Self, PostgresError> {
        blocking(move || Self::start_blocking(options)).await
    }

    fn start_blocking(options: ServerOptions) -> Result<Self, PostgresError> {
        let launch = Launch {
            binaries: find_binaries(options.binaries.as_deref())?,
            cluster: Cluster::place(&options.data_dir)?,
            durability: options.durability,
            stop_mode: options.stop_mode,
            remove: None,
            patience: READY_WITHIN,
        };
        Ok(Self { running: launch.run()? })
    }

    /// The URL of a database on this server, for sqlx and for `psql`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url::of(&self.running.file.socket_dir, self.running.file.port, database)
    }

    /// The directory of the server's Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.running.file.socket_dir
    }

    /// The process id of the server's first process, the postmaster.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.file.pid
    }

    /// Creates a database unless it is there.
    ///
    /// # Errors
    /// [`PostgresError::Database`] when the server is gone or refuses.
    pub async fn create_database(&self, name: &str) -> Result<(), PostgresError> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let exists = sqlx::query("-- server::create_database\nSELECT FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?
            .is_some();
        if !exists {
            let statement = format!("-- server::create_database\nCREATE DATABASE {}", url::quoted(name));
            match sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await {
                // Somebody else was quicker.
                Err(sqlx::Error::Database(error))
                    if matches!(error.code().as_deref(), Some("42P04" | "23505")) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
        connection.close().await?;
        Ok(())
    }

    /// Resolves when the server has ended by itself, or was killed. Drop this handle then, and start again.
    pub async fn wait_exit(&mut self) {
        while !self.running.has_ended() {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Stops the server: connections are closed, a checkpoint is written. Takes 0.1 s when idle; after 30 s the server
    /// is stopped at once instead.
    pub async fn stop(self) {
        blocking(move || drop(self)).await;
    }
}

/// The base URL (no database named: choose one with `PgConnectOptions::database`) of a server that some process runs
/// on this data directory now, or `None`. Starts nothing and prints nothing.
pub async fn attach(data_dir: &Path) -> Option<String> {
    let data_dir = data_dir.to_owned();
    let file = blocking(move || {
        let places = Cluster::candidates(&data_dir);
        places.iter().filter_map(|dir| PidFile::read(dir)).find(PidFile::is_reachable)
    })
    .await?;
    Some(url::of(&file.socket_dir, file.port, ""))
}

/// Runs what waits for processes and files on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
