//! The private PostgreSQL of `bedel dev`, with full durability, started again when it dies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bedel_postgres::{Durability, Server, ServerOptions, StopMode};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::secret::Secret;
use crate::error::CliError;

const DATABASE: &str = "bedel";
/// Before the server is started again: at first, then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest such pause.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// A running server and its watch.
pub struct PrivateServer {
    url: Secret,
    stop: CancellationToken,
    watch: JoinHandle<()>,
}

impl PrivateServer {
    /// Starts the server of this data directory, making its cluster and its database the first time.
    ///
    /// # Errors
    /// Where it cannot run; the text says what to do.
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
        let url = Secret::new(server.url(DATABASE));
        tracing::info!(pid = server.pid(), data = %options.data_dir.display(), "PostgreSQL {major} started");
        let stop = CancellationToken::new();
        let watch = tokio::spawn(watch(server, options, stop.clone()));
        Ok(Self { url, stop, watch })
    }

    /// The database's URL; a server that is started again has the same.
    #[must_use]
    pub fn url(&self) -> Secret {
        self.url.clone()
    }

    /// Stops the server in order.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.watch.await {
            tracing::error!("the watch over PostgreSQL failed: {error}");
        }
    }
}

async fn watch(mut server: Server, options: ServerOptions, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = server.wait_exit() => tracing::warn!("PostgreSQL died; starting it again"),
            () = stop.cancelled() => return server.stop().await,
        }
        drop(server);
        let mut pause = FIRST_PAUSE;
        server = loop {
            match Server::start(options.clone()).await {
                Ok(server) => break server,
                Err(error) => tracing::error!("PostgreSQL does not start: {error}"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(LAST_PAUSE);
        };
        tracing::info!(pid = server.pid(), "PostgreSQL started again");
    }
}
