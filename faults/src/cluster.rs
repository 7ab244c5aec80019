//! The server: a real PostgreSQL with full durability, which can be restarted, killed and kept away.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bedel_postgres::{Durability, Server, ServerOptions, StopMode};
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::error::FaultsError;
use crate::jobs;
use crate::process::signal_pid;

/// The database that every round's is a copy of.
const TEMPLATE: &str = "faults_template";

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGINT: connections are ended, a checkpoint is written.
    Fast,
    /// SIGQUIT: everything ends at once; the next start replays the log.
    Immediate,
    /// SIGKILL for the first process; its children find it gone.
    Killed,
}

/// A server of the suite's own, with the template database.
#[derive(Debug)]
pub struct Cluster {
    server: Mutex<Option<Server>>,
    options: ServerOptions,
    url: String,
    databases: AtomicU32,
    /// One copy at a time: PostgreSQL refuses a template that somebody is connected to.
    copying: Mutex<()>,
    _directory: TempDir,
}

impl Cluster {
    /// Makes a cluster in the temporary directory and starts it.
    ///
    /// # Errors
    /// See [`FaultsError`].
    pub async fn start() -> Result<Arc<Self>, FaultsError> {
        // The server's user must be able to enter it, and under root that is another one.
        let directory = tempfile::Builder::new()
            .prefix("bedel-faults-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .map_err(FaultsError::io("create a directory"))?;
        let options = ServerOptions {
            data_dir: directory.path().join("pg"),
            durability: Durability::Full,
            binaries: None,
            stop_mode: StopMode::Immediate,
        };
        let server = Server::start(options.clone()).await?;
        server.create_database(TEMPLATE).await?;
        let url = server.url("");
        let cluster = Self {
            server: Mutex::new(Some(server)),
            options,
            url,
            databases: AtomicU32::new(0),
            copying: Mutex::new(()),
            _directory: directory,
        };
        let mut connection = PgConnection::connect(&cluster.url(TEMPLATE)).await?;
        sqlx::migrate!("../migrations/versions").run(&mut connection).await?;
        bedel_queue::migrate(&PgPool::connect_lazy(&cluster.url(TEMPLATE))?).await?;
        sqlx::raw_sql(jobs::SCHEMA).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Arc::new(cluster))
    }

    /// The URL of one of its databases; the same after a restart.
    pub fn url(&self, database: &str) -> String {
        self.url.replacen("///", &format!("///{database}"), 1)
    }

    /// A new database with the schema: its URL and a small pool.
    ///
    /// # Errors
    /// The database's.
    pub async fn database(&self) -> Result<(String, PgPool), FaultsError> {
        let name = format!("round_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        {
            let _copying = self.copying.lock().await;
            let mut connection = PgConnection::connect(&self.url("postgres")).await?;
            let statement = format!("-- cluster::database\nCREATE DATABASE {name} TEMPLATE {TEMPLATE}");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
            connection.close().await?;
        }
        let url = self.url(&name);
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(30))
            .connect(&url)
            .await?;
        Ok((url, pool))
    }

    /// Removes a round's database, whoever is still connected: a server that has to recover reads every file it has.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove(&self, url: &str) -> Result<(), FaultsError> {
        let options: PgConnectOptions = url.parse()?;
        let name = options.get_database().unwrap_or_default();
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let statement = format!("-- cluster::remove\nDROP DATABASE {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Ends the server, leaves it away for so long, and starts it again.
    ///
    /// # Errors
    /// See [`FaultsError`].
    pub async fn restart(&self, ending: Ending, away: Duration) -> Result<(), FaultsError> {
        let mut held = self.server.lock().await;
        let mut server =
            held.take().ok_or_else(|| FaultsError::Setup("the server did not come back".to_owned()))?;
        match ending {
            Ending::Fast => server.stop().await,
            Ending::Immediate | Ending::Killed => {
                let signal = if ending == Ending::Killed { Signal::KILL } else { Signal::QUIT };
                signal_pid(server.pid(), signal)?;
                server.wait_exit().await;
                server.stop().await; // it has ended: this lets go of the directory
            }
        }
        tokio::time::sleep(away).await;
        *held = Some(Server::start(self.options.clone()).await?);
        Ok(())
    }
}

impl Drop for Cluster {
    /// Nobody needs a checkpoint of hundreds of databases that are about to be deleted.
    fn drop(&mut self) {
        if let Some(server) = self.server.get_mut() {
            // Where it is gone already there is nothing to end.
            let _ = signal_pid(server.pid(), Signal::QUIT);
        }
    }
}
