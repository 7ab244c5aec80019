//! The private PostgreSQL of `bedel dev`, with full durability, restarted when it dies.

use std::path::{Path, PathBuf};

use bedel_postgres::{Durability, Server, ServerOptions, StopMode};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::backoff::Backoff;
use crate::error::CliError;

const DATABASE: &str = "bedel";

/// A running server and its watcher.
pub struct PrivateServer {
    url: SecretString,
    stop: CancellationToken,
    watch: JoinHandle<()>,
}

impl PrivateServer {
    /// Starts the server of this data directory. Creates its cluster and database if needed.
    ///
    /// # Errors
    /// If it cannot run. The text says what to do.
    pub async fn start(data_dir: &Path, binaries: Option<PathBuf>) -> Result<Self, CliError> {
        let failed =
            |error: bedel_postgres::PostgresError| CliError::Failed(format!("private PostgreSQL: {error}"));
        let found = bedel_postgres::find_binaries(binaries.as_deref()).map_err(failed)?;
        let major = bedel_postgres::major_version(&found).map_err(failed)?;
        let options = ServerOptions {
            data_dir: data_dir.join(format!("pg{major}")),
            durability: Durability::Full,
            binaries: Some(found),
            stop_mode: StopMode::Fast,
        };
        let server = Server::start(options.clone()).await.map_err(failed)?;
        server.create_database(DATABASE).await.map_err(failed)?;
        let url = SecretString::from(server.url(DATABASE));
        tracing::info!(pid = server.pid(), data = %options.data_dir.display(), "PostgreSQL {major} started");
        let stop = CancellationToken::new();
        let watch = tokio::spawn(watch(server, options, stop.clone()));
        Ok(Self { url, stop, watch })
    }

    /// The database's URL; a restart keeps it.
    #[must_use]
    pub fn url(&self) -> SecretString {
        self.url.clone()
    }

    /// Stops the server.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.watch.await {
            tracing::error!("the watcher of PostgreSQL failed: {error}");
        }
    }
}

async fn watch(mut server: Server, options: ServerOptions, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = server.wait_exit() => tracing::warn!("PostgreSQL died; restarting it"),
            () = stop.cancelled() => return server.stop().await,
        }
        drop(server);
        let mut backoff = Backoff::default();
        server = loop {
            match Server::start(options.clone()).await {
                Ok(server) => break server,
                Err(error) => tracing::error!("PostgreSQL does not start: {error}"),
            }
            if !backoff.pause(&stop).await {
                return;
            }
        };
        tracing::info!(pid = server.pid(), "PostgreSQL restarted");
    }
}
