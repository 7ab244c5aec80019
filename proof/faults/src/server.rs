//! The PostgreSQL server of rounds: each round gets a copy of one migrated database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bedel_test_support::Cluster;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::error::FaultsError;
use crate::jobs;

/// The database that rounds copy.
const TEMPLATE: &str = "faults_template";

/// A running server with the template database.
#[derive(Debug)]
pub struct RoundServer {
    /// The server.
    pub cluster: Cluster,
    databases: AtomicU32,
    /// One copy at a time: PostgreSQL refuses to copy a database that has connections.
    copying: Mutex<()>,
}

impl RoundServer {
    /// Starts a server and migrates the template.
    ///
    /// # Errors
    /// If the machine has no PostgreSQL, or a migration fails.
    pub async fn start() -> Result<Arc<Self>, FaultsError> {
        let cluster = Cluster::start(&[]).await?;
        cluster.create(TEMPLATE).await?;
        let mut connection = PgConnection::connect(&cluster.url(TEMPLATE)).await?;
        sqlx::migrate!("../../migrations/versions").run(&mut connection).await?;
        bedel_queue::migrate(&PgPool::connect_lazy(&cluster.url(TEMPLATE))?).await?;
        sqlx::raw_sql(jobs::SCHEMA).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Arc::new(Self { cluster, databases: AtomicU32::new(0), copying: Mutex::new(()) }))
    }

    /// A new database with the schema: its URL and a small pool.
    pub async fn database(&self) -> Result<(String, PgPool), FaultsError> {
        let name = format!("round_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        {
            let _copying = self.copying.lock().await;
            self.cluster.run(format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await?;
        }
        let url = self.cluster.url(&name);
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(30))
            .connect(&url)
            .await?;
        Ok((url, pool))
    }

    /// Drops a round's database and every connection to it: a server that recovers reads every file it has.
    pub async fn remove(&self, url: &str) -> Result<(), FaultsError> {
        let options: PgConnectOptions = url.parse()?;
        Ok(self.cluster.drop(options.get_database().unwrap_or_default()).await?)
    }
}
