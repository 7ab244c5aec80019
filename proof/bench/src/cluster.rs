//! The PostgreSQL server of a run: its own, with full durability, and the same settings for every contender.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use bedel_postgres::{Durability, Server, ServerOptions, StopMode};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::directory::Directory;
use crate::error::{Result, io};

/// What is set; all else is PostgreSQL's default, with `fsync`, `synchronous_commit` and `full_page_writes` on.
pub const SETTINGS: [(&str, &str); 6] = [
    ("shared_buffers", "1GB"),
    ("effective_cache_size", "4GB"),
    ("random_page_cost", "1.1"),
    // A checkpoint is made before each measurement; none falls into one.
    ("max_wal_size", "32GB"),
    ("checkpoint_timeout", "1d"),
    // Counts the queries of idle workers, in their databases alone.
    ("shared_preload_libraries", "pg_stat_statements"),
];

/// A running server in a directory that goes with it.
#[derive(Debug)]
pub struct Cluster {
    server: Server, // ends before its directory goes
    _directory: Directory,
}

impl Cluster {
    /// Makes and starts a server.
    pub async fn start() -> Result<Self> {
        let directory = Directory::create("")?;
        // The server may run as another user than this program.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))
            .map_err(io("open the server's directory"))?;
        let options = ServerOptions {
            data_dir: directory.path().join("data"),
            durability: Durability::Full,
            binaries: None,
            stop_mode: StopMode::Immediate,
        };
        let server = Server::start(options.clone()).await?;
        let mut connection = PgConnection::connect(&server.url("postgres")).await?;
        for (name, value) in SETTINGS {
            let statement = format!("-- cluster::start\nALTER SYSTEM SET {name} = '{value}'");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        connection.close().await?;
        server.stop().await; // shared memory is sized at the start
        let server = Server::start(options).await?;
        let mut connection = PgConnection::connect(&server.url("postgres")).await?;
        for statement in [
            "-- cluster::start\nCREATE EXTENSION pg_stat_statements",
            "-- cluster::start\nALTER SYSTEM SET pg_stat_statements.track = 'none'",
            "-- cluster::start\nSELECT pg_reload_conf()",
        ] {
            sqlx::raw_sql(statement).execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(Self { server, _directory: directory })
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// A connection to the database that no contender uses.
    pub async fn admin(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url("postgres")).await?)
    }

    /// A new database, or a copy of one.
    pub async fn create(&self, name: &str, template: Option<&str>) -> Result<()> {
        let template =
            template.map_or_else(String::new, |of| format!(" TEMPLATE \"{of}\" STRATEGY file_copy"));
        self.run(format!("CREATE DATABASE \"{name}\"{template}")).await
    }

    /// Whether there is such a database.
    pub async fn has(&self, name: &str) -> Result<bool> {
        let mut connection = self.admin().await?;
        let found = sqlx::query("-- cluster::has\nSELECT FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok(found.is_some())
    }

    /// Drops a database and whoever is connected to it.
    pub async fn drop(&self, name: &str) -> Result<()> {
        self.run(format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await
    }

    /// Runs one statement that concerns the whole server.
    pub async fn run(&self, statement: String) -> Result<()> {
        let mut connection = self.admin().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("-- cluster::run\n{statement}")))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }

    /// Stops the server and removes what it wrote.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
