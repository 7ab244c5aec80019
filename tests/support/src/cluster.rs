//! A private PostgreSQL server with full durability.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bedel_postgres::{Durability, PostgresError, Server, ServerOptions, StopMode};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// Why the server could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Its directory or its process.
    #[error("cannot {what}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// It did not start.
    #[error(transparent)]
    Server(#[from] PostgresError),
    /// It refused a statement or a connection.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// An earlier restart failed.
    #[error("the server is down: an earlier restart failed")]
    Down,
}

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// SIGINT: connections end and a checkpoint is written.
    Fast,
    /// SIGQUIT: everything ends at once; the next start replays the log.
    Immediate,
    /// SIGKILL to the first process; its children notice by themselves.
    Kill,
}

/// A running server in a temporary directory, which is removed with it.
#[derive(Debug)]
pub struct Cluster {
    // `None` only while it restarts, or after a restart that failed.
    server: Mutex<Option<Server>>,
    options: ServerOptions,
    url: String,
    _directory: TempDir, // after the server
}

impl Cluster {
    /// Makes and starts a server. All settings but these are PostgreSQL's defaults.
    ///
    /// # Errors
    /// If the machine has no PostgreSQL, or a setting is refused.
    pub async fn start(settings: &[(&str, &str)]) -> Result<Self, ClusterError> {
        // Under root the server runs as another user, which must be able to enter.
        let directory = tempfile::Builder::new()
            .prefix("bedel-cluster-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .map_err(io("create a directory"))?;
        let options = ServerOptions {
            data_dir: directory.path().join("pg"),
            durability: Durability::Full,
            binaries: None,
            stop_mode: StopMode::Immediate,
        };
        let server = Server::start(options.clone()).await?;
        let url = server.url("");
        let cluster = Self { server: Mutex::new(Some(server)), options, url, _directory: directory };
        for (name, value) in settings {
            cluster.run(format!("ALTER SYSTEM SET {name} = '{value}'")).await?;
        }
        if !settings.is_empty() {
            cluster.restart(Shutdown::Fast, Duration::ZERO).await?; // shared memory is sized at the start
        }
        Ok(cluster)
    }

    /// URL of one of its databases. A restart does not change it.
    pub fn url(&self, database: &str) -> String {
        self.url.replacen("///", &format!("///{database}"), 1)
    }

    /// A connection to the database `postgres`.
    ///
    /// # Errors
    /// If the server is away.
    pub async fn admin(&self) -> Result<PgConnection, ClusterError> {
        Ok(PgConnection::connect(&self.url("postgres")).await?)
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// If one of this name exists.
    pub async fn create(&self, name: &str) -> Result<(), ClusterError> {
        self.run(format!("CREATE DATABASE \"{name}\"")).await
    }

    /// Copies a database, file by file.
    ///
    /// # Errors
    /// If anything is connected to the template.
    pub async fn copy(&self, template: &str, name: &str) -> Result<(), ClusterError> {
        self.run(format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" STRATEGY file_copy")).await
    }

    /// Whether a database of this name exists.
    ///
    /// # Errors
    /// If the server is away.
    pub async fn has(&self, name: &str) -> Result<bool, ClusterError> {
        let mut connection = self.admin().await?;
        let found = sqlx::query("-- cluster::has\nSELECT FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok(found.is_some())
    }

    /// Drops a database and every connection to it.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn drop(&self, name: &str) -> Result<(), ClusterError> {
        self.run(format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await
    }

    /// Runs one statement in the database `postgres`.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn run(&self, statement: String) -> Result<(), ClusterError> {
        let mut connection = self.admin().await?;
        let statement = format!("-- cluster::run\n{statement}");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Ends the server, waits for `away`, and starts it again.
    ///
    /// # Errors
    /// If it does not come back; every later restart then fails too.
    pub async fn restart(&self, shutdown: Shutdown, away: Duration) -> Result<(), ClusterError> {
        let mut slot = self.server.lock().await;
        let mut server = slot.take().ok_or(ClusterError::Down)?;
        match shutdown {
            Shutdown::Fast => server.stop().await,
            Shutdown::Immediate | Shutdown::Kill => {
                let signal = if shutdown == Shutdown::Kill { Signal::KILL } else { Signal::QUIT };
                send(signal, server.pid())?;
                server.wait_exit().await;
                server.stop().await; // releases the directory's lock
            }
        }
        tokio::time::sleep(away).await;
        *slot = Some(Server::start(self.options.clone()).await?);
        Ok(())
    }

    /// Stops the server and removes its files.
    pub async fn stop(mut self) {
        if let Some(server) = self.server.get_mut().take() {
            server.stop().await;
        }
    }
}

impl Drop for Cluster {
    /// SIGQUIT: no checkpoint of hundreds of databases that are about to be deleted.
    fn drop(&mut self) {
        if let Some(server) = self.server.get_mut() {
            let _ = send(Signal::QUIT, server.pid()); // it may have ended already
        }
    }
}

fn send(signal: Signal, pid: u32) -> Result<(), ClusterError> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(ClusterError::Down)?;
    kill_process(pid, signal).map_err(|error| io("signal the server")(error.into()))
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> ClusterError {
    move |source| ClusterError::Io { what, source }
}
