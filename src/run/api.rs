//! `bedel api`.

use clap::Args;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::api::{ApiState, serve};
use crate::config::api::ApiOptions;
use crate::config::auth::AuthOptions;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::config::storage::StorageOptions;
use crate::error::CliError;
use crate::run::database::{self, Role};
use crate::run::{environment, process};

/// Deadline for stopping once the parent process is gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to retry the address of an earlier process.
const REBIND_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two such tries.
const REBIND_PAUSE: Duration = Duration::from_millis(100);

/// Serve the HTTP API until SIGTERM.
#[derive(Debug, Args)]
pub struct ApiCommand {
    /// See [`DatabaseOptions`].
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// See [`ApiOptions`].
    #[command(flatten)]
    pub api: ApiOptions,
    /// See [`AuthOptions`].
    #[command(flatten)]
    pub auth: AuthOptions,
    /// See [`StorageOptions`].
    #[command(flatten)]
    pub storage: StorageOptions,
    /// See [`JobOptions`].
    #[command(flatten)]
    pub jobs: JobOptions,
}

/// Serves until the process is asked to stop. It listens even while the database is down.
///
/// # Errors
/// If no credential would be accepted, the address is taken, or the storage belongs to another database.
pub async fn run(command: &ApiCommand, common: &CommonOptions) -> Result<(), CliError> {
    let authenticator = command.auth.authenticator().map_err(CliError::Usage)?;
    let origins = command.api.origins().map_err(CliError::Usage)?;
    let stop = process::stop_token(common.exit_with_parent.then_some(STOP_TIMEOUT))?;
    let settings = command.jobs.settings().map_err(CliError::Usage)?;
    let pool = database::pool(&database::resolve(&command.database, &common.data_dir)?, Role::Api)?;
    let storage = environment::storage(&command.storage.storage_dir(&common.data_dir))?;
    let environment = environment::without_tools(pool.clone(), storage, settings)?;

    let listener = listen(command.api.listen, common.exit_with_parent, command.api.address_is_learnt).await?;
    let address = listener.local_addr().map_err(|error| CliError::Failed(format!("no address: {error}")))?;
    if let Some(file) = &command.api.address_file {
        announce(file, address)?;
    }
    tracing::info!("listening on http://{address}");

    let state = ApiState::new(environment.clone(), authenticator, command.api.limits(), origins);
    let checked = async {
        if database::wait_until_ready(&pool, &stop).await? {
            environment::check_installation(&environment).await?;
        }
        std::future::pending::<Result<(), CliError>>().await
    };
    tokio::select! {
        () = serve(listener, state, stop.clone()) => Ok(()),
        wrong = checked => wrong,
    }
}

/// Binds the address. Under `bedel dev` a failure is a configuration error, since a restart does not help.
/// Exception: an address that an earlier api of the same `bedel dev` used will be free soon, so it is
/// retried.
async fn listen(address: SocketAddr, under_dev: bool, learnt: bool) -> Result<TcpListener, CliError> {
    let started = Instant::now();
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        let taken = error.kind() == ErrorKind::AddrInUse;
        if learnt && taken && started.elapsed() < REBIND_TIMEOUT {
            tokio::time::sleep(REBIND_PAUSE).await;
            continue;
        }
        let text = format!(
            "BEDEL_LISTEN, {address}: {error}. Stop the program that uses this address, or choose another \
             with --listen"
        );
        let lasting =
            taken || matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::AddrNotAvailable);
        return Err(if under_dev && !learnt && lasting {
            CliError::Usage(text)
        } else {
            CliError::Failed(text)
        });
    }
}

/// Writes the listening address for the parent process. The file appears complete.
fn announce(file: &Path, address: SocketAddr) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("{}: {error}", file.display()));
    let temporary = file.with_extension("new");
    std::fs::write(&temporary, address.to_string()).map_err(failed)?;
    std::fs::rename(&temporary, file).map_err(failed)
}
