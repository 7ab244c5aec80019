//! The server as its owner sees it.

use std::path::Path;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::binaries::find_binaries;
use crate::cluster::Cluster;
use crate::error::PostgresError;
use crate::launch::{Launch, READY_TIMEOUT};
use crate::options::ServerOptions;
use crate::pidfile::PidFile;
use crate::running::Running;
use crate::url;

/// Pause between two checks whether the server still runs.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A running server. Dropping it stops the server like [`Server::stop`] and blocks the thread (0.1 s when
/// idle).
///
/// If another live process already runs the server of this data directory, this handle is a guest's: neither
/// `stop` nor dropping it touches the server.
#[derive(Debug)]
pub struct Server {
    running: Running,
}

impl Server {
    /// Starts the server, adopts one whose owner died, or attaches to one that another process runs.
    /// Returns when it accepts connections: 0.1 s for an existing cluster, 1 s for a new one.
    ///
    /// # Errors
    /// See [`PostgresError`]; each text says what to do.
    pub async fn start(options: ServerOptions) -> Result<Self, PostgresError> {
        run_blocking(move || Self::start_blocking(options)).await
    }

    fn start_blocking(options: ServerOptions) -> Result<Self, PostgresError> {
        let launch = Launch {
            binaries: find_binaries(options.binaries.as_deref())?,
            cluster: Cluster::resolve(&options.data_dir)?,
            durability: options.durability,
            stop_mode: options.stop_mode,
            remove_dir: None,
            timeout: READY_TIMEOUT,
        };
        Ok(Self { running: launch.run()? })
    }

    /// The URL of a database on this server, for sqlx and for `psql`. It stays the same after a restart.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url::database_url(&self.running.file.socket_dir, self.running.file.port, database)
    }

    /// The directory of the server's Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.running.file.socket_dir
    }

    /// The process id of the postmaster.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.file.pid
    }

    /// Creates a database if it does not exist.
    ///
    /// # Errors
    /// [`PostgresError::Database`] if the server is gone or refuses.
    pub async fn create_database(&self, name: &str) -> Result<(), PostgresError> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let exists = sqlx::query("-- server::create_database\nSELECT FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?
            .is_some();
        if !exists {
            let statement =
                format!("-- server::create_database\nCREATE DATABASE {}", url::quote_identifier(name));
            match sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await {
                // A concurrent call created it first.
                Err(sqlx::Error::Database(error))
                    if matches!(error.code().as_deref(), Some("42P04" | "23505")) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
        connection.close().await?;
        Ok(())
    }

    /// Resolves when the server has ended by itself or was killed. Then drop this handle and start again.
    pub async fn wait_exit(&mut self) {
        while !self.running.has_ended() {
            tokio::time::sleep(EXIT_POLL_INTERVAL).await;
        }
    }

    /// Stops the server: it closes connections and writes a checkpoint. Takes 0.1 s when idle. After 30 s the
    /// stop becomes an immediate one.
    pub async fn stop(self) {
        run_blocking(move || drop(self)).await;
    }
}

/// The base URL of the server that runs on this data directory now, or `None`. The URL names no database:
/// choose one with `PgConnectOptions::database`. Starts nothing and prints nothing.
pub async fn attach(data_dir: &Path) -> Option<String> {
    let data_dir = data_dir.to_owned();
    let file = run_blocking(move || {
        let dirs = Cluster::candidate_dirs(&data_dir);
        dirs.iter().filter_map(|dir| PidFile::read(dir)).find(PidFile::is_reachable)
    })
    .await?;
    Some(url::database_url(&file.socket_dir, file.port, ""))
}

/// Runs `work`, which waits for processes and files, on a blocking thread.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
