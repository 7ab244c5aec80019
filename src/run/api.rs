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

/// An API whose parent is gone stops within this time.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// An address that an earlier api had is tried again for so long.
const REBIND_WITHIN: Duration = Duration::from_secs(5);
/// Between two such tries.
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

/// Serves until the process is asked to stop. It listens whether or not the database is there.
///
/// # Errors
/// Where nobody could be let in, the address is taken, or the storage belongs to another database.
pub async fn run(command: &ApiCommand, common: &CommonOptions) -> Result<(), CliError> {
    let authenticator = command.auth.authenticator().map_err(CliError::Usage)?;
    let origins = command.api.origins().map_err(CliError::Usage)?;
    let stop = process::stop_token(common.exit_with_parent.then_some(STOP_WITHIN))?;
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

/// Listens. Under `bedel dev` an address that cannot be had is a mistake in its configuration, since starting again does
/// not mend it; but one that an earlier api of the same `bedel dev` had is waited for, as it becomes free again.
async fn listen(address: SocketAddr, under_dev: bool, learnt: bool) -> Result<TcpListener, CliError> {
    let started = Instant::now();
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        let taken = error.kind() == ErrorKind::AddrInUse;
        if learnt && taken && started.elapsed() < REBIND_WITHIN {
            tokio::time::sleep(REBIND_PAUSE).await;
            continue;
        }
        let text = format!(
            "BEDEL_LISTEN, {address}: {error}. Stop the program that has this address, or choose another with --listen"
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

/// Tells the process that started this one where we listen: the file appears whole.
fn announce(file: &Path, address: SocketAddr) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("{}: {error}", file.display()));
    let temporary = file.with_extension("new");
    std::fs::write(&temporary, address.to_string()).map_err(failed)?;
    std::fs::rename(&temporary, file).map_err(failed)
}
