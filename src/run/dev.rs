//! `bedel dev`: everything on this machine, like production, on a private PostgreSQL.
//!
//! A supervisor runs the PostgreSQL server and the processes `bedel api`, `bedel worker` and `bedel
//! scheduler`, with the same commands as in production. It restarts what dies. If the supervisor itself dies,
//! all of them stop: the server through its pipe guard, the children when their standard input closes.
//!
//! The data directory holds `dev.lock` (locked while one runs), `dev-tokens.json` (made once), `dev.json`
//! (how to reach the running one; exists while it is ready), `pgNN`, `storage` and `scratch`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::sign_in_codes;
use crate::config::auth::AuthOptions;
use crate::config::common::CommonOptions;
use crate::error::CliError;
use crate::run::database::{self, Role};
use crate::run::process;

pub mod child;
pub mod command;
pub mod ready;
pub mod server;
pub mod state;
pub mod tokens;

use child::Program;
pub use command::DevCommand;
use server::PrivateServer;
use state::{DevLock, DevState};
use tokens::DevTokens;

/// Time for running jobs to finish when `bedel dev` stops, unless `BEDEL_DRAIN_SECONDS` is set.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between the end of the children's own deadline and SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(3);
/// Longest wait until everything is ready.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Runs everything until SIGTERM or SIGINT. `explicit` holds the flags that were given, as variables for the
/// children.
///
/// # Errors
/// If something cannot start. The text says what and what to do.
pub async fn run(
    common: &CommonOptions,
    options: &DevCommand,
    explicit: Vec<(OsString, OsString)>,
) -> Result<(), CliError> {
    let data_dir = prepare(&common.data_dir)?;
    let lock = DevLock::take(&data_dir)?;
    let stop = process::stop_token(common.exit_with_parent.then_some(DRAIN_TIMEOUT))?;
    let tokens = DevTokens::load_or_create(&data_dir)?;
    state::remove(&data_dir);

    let server = match options.database.url() {
        Some(_) => None,
        None => Some(PrivateServer::start(&data_dir, options.postgres.pg_bin.clone()).await?),
    };
    let url = match (&server, options.database.url()) {
        (Some(server), _) => server.url(),
        (None, Some(url)) => url.clone(),
        (None, None) => unreachable!("a server is started where no URL is configured"),
    };
    let outcome = supervise(&data_dir, options, explicit, &tokens, &url, &stop).await;
    state::remove(&data_dir);
    if let Some(server) = server {
        server.stop().await;
    }
    drop(lock);
    outcome
}

/// Runs the children on a running server until the last one ends.
async fn supervise(
    data_dir: &Path,
    options: &DevCommand,
    explicit: Vec<(OsString, OsString)>,
    tokens: &DevTokens,
    url: &SecretString,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let pool = database::pool(url, Role::Migration)?;
    database::answers(&pool).await?;
    crate::migrate::run(&pool).await.map_err(|error| CliError::Failed(format!("migrations: {error}")))?;
    pool.close().await;

    let drain = if options.drain_is_configured { options.worker.drain_seconds } else { DRAIN_TIMEOUT };
    let address_file = data_dir.join("api.address");
    ready::remove_address(&address_file);
    let children_stop = stop.child_token();
    let mut children = JoinSet::new();
    for program in programs(data_dir, options, explicit, tokens, url, drain, &address_file)? {
        children.spawn(child::supervise(program, drain + KILL_GRACE, children_stop.clone()));
    }
    let announced = async {
        let address = ready::wait(&address_file, START_TIMEOUT).await?;
        announce(data_dir, tokens, url, address).await?;
        std::future::pending::<Result<(), CliError>>().await
    };
    let outcome = tokio::select! {
        outcome = announced => outcome,
        Some(child) = children.join_next() => child.unwrap_or_else(|error| Err(CliError::Failed(error.to_string()))),
        () = stop.cancelled() => Ok(()),
    };
    // Clients must not find this instance while the children release their work.
    state::remove(data_dir);
    children_stop.cancel();
    while children.join_next().await.is_some() {}
    outcome
}

/// The children: the same commands as in production.
fn programs(
    data_dir: &Path,
    options: &DevCommand,
    explicit: Vec<(OsString, OsString)>,
    tokens: &DevTokens,
    url: &SecretString,
    drain: Duration,
    address_file: &Path,
) -> Result<Vec<Program>, CliError> {
    let executable = std::env::current_exe()
        .map_err(|error| CliError::Failed(format!("the path of this program is unknown: {error}")))?;
    let mut all = explicit;
    let mut set = |name: &str, value: OsString| all.push((name.into(), value));
    set("DATABASE_URL", url.expose_secret().into());
    set("BEDEL_DATA_DIR", data_dir.into());
    set("BEDEL_STORAGE_DIR", absolute(&options.storage.storage_dir(data_dir))?.into());
    set("BEDEL_SCRATCH_DIR", absolute(&options.storage.scratch_dir(data_dir))?.into());
    set("BEDEL_DRAIN_SECONDS", drain.as_secs_f64().to_string().into());
    let program = |name: &str, command: &str, more: Vec<(OsString, OsString)>| Program {
        name: name.to_owned(),
        executable: executable.clone(),
        arguments: vec![command.to_owned(), "--exit-with-parent".to_owned()],
        environment: all.iter().cloned().chain(more).collect(),
        address_file: (command == "api").then(|| address_file.to_owned()),
    };
    let api = vec![
        ("BEDEL_LISTEN".into(), options.api.listen.to_string().into()),
        ("BEDEL_TOKENS".into(), tokens.setting(AuthOptions::tokens().as_ref()).into()),
        ("BEDEL_ADDRESS_FILE".into(), address_file.into()),
    ];
    let mut programs = vec![program("api", "api", api)];
    for number in 1..=options.workers {
        programs.push(program(&format!("worker {number}"), "worker", Vec::new()));
    }
    programs.push(program("scheduler", "scheduler", Vec::new()));
    Ok(programs)
}

/// Announces readiness: in `dev.json` for programs, on standard output for people, with a link that signs in.
async fn announce(
    data_dir: &Path,
    tokens: &DevTokens,
    url: &SecretString,
    address: std::net::SocketAddr,
) -> Result<(), CliError> {
    let state = DevState {
        api_url: ready::url_of(address),
        token: tokens.token.clone(),
        admin_token: tokens.admin_token.clone(),
        user_id: tokens.user_id,
        database_url: url.expose_secret().to_owned(),
        pid: std::process::id(),
    };
    state.write(data_dir)?;
    println!("ready: {}", state.api_url);
    println!(
        "open:  {}/ui/sign-in/{} (signs you in once, within {} minutes)",
        state.api_url,
        sign_in_code(url, tokens).await?,
        sign_in_codes::VALID_MINUTES
    );
    println!(
        "token: {} (this machine only; stored in {})",
        state.token,
        data_dir.join(tokens::FILE).display()
    );
    Ok(())
}

/// A code that signs the tokens' user in as an admin.
async fn sign_in_code(url: &SecretString, tokens: &DevTokens) -> Result<String, CliError> {
    let pool = database::pool(url, Role::Command)?;
    let mut tx = pool.begin().await?;
    let code = sign_in_codes::create(&mut tx, tokens.user_id, true).await?;
    tx.commit().await?;
    pool.close().await;
    Ok(code)
}

/// Creates the data directory. It stays open, since the private server's user must pass through it; secret
/// files in it are private.
fn prepare(data_dir: &Path) -> Result<PathBuf, CliError> {
    let data_dir = absolute(data_dir)?;
    std::fs::create_dir_all(&data_dir).map_err(|error| {
        CliError::Failed(format!(
            "{} cannot be created: {error}. Choose another directory with --data-dir",
            data_dir.display()
        ))
    })?;
    Ok(data_dir)
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))
}
