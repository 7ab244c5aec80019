//! The child processes: a worker and a scheduler, run as the program runs them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bedel_queue::{CatchUp, Queue, Retention, Schedule, WorkerOptions, run_scheduler, run_worker};
use clap::Args;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::FaultsError;
use crate::jobs::{Act, Touch, Visit, registry};
use crate::ledger::Ledger;

/// Options of both.
#[derive(Debug, Args)]
pub struct Common {
    /// The database.
    #[arg(long)]
    pub url: String,
    /// Shown by the queue.
    #[arg(long)]
    pub name: String,
}

/// A worker process.
#[derive(Debug, Args)]
pub struct WorkerCommand {
    #[command(flatten)]
    common: Common,
    /// The round's directory: ledger and files.
    #[arg(long)]
    directory: PathBuf,
    /// Attempts at a time, of each kind.
    #[arg(long)]
    slots: usize,
    /// Connections of the pool.
    #[arg(long)]
    connections: u32,
    /// Milliseconds.
    #[arg(long)]
    beat: u64,
    /// Milliseconds.
    #[arg(long)]
    dead_after: u64,
    /// Milliseconds.
    #[arg(long)]
    poll: u64,
    /// Milliseconds.
    #[arg(long)]
    drain: u64,
}

/// A scheduler process.
#[derive(Debug, Args)]
pub struct SchedulerCommand {
    #[command(flatten)]
    common: Common,
    /// The schedule's cron text.
    #[arg(long)]
    cron: String,
    /// The item that each tick visits.
    #[arg(long)]
    item: Uuid,
}

/// Runs jobs until SIGTERM.
pub async fn run(command: WorkerCommand) -> Result<(), FaultsError> {
    let stop = start()?;
    let idle = format!("{}ms", command.dead_after / 2);
    let pool = pool(&command.common, command.connections, &[("idle_in_transaction_session_timeout", &idle)])?;
    let touch = Touch {
        pool: pool.clone(),
        ledger: Arc::new(Ledger::open(&command.directory)?),
        directory: command.directory.into(),
    };
    let registry = registry(touch);
    let options = WorkerOptions {
        name: command.common.name,
        slots: registry
            .kinds()
            .into_iter()
            .map(|kind| (kind.to_owned(), command.slots))
            .collect::<BTreeMap<_, _>>(),
        beat: Duration::from_millis(command.beat),
        dead_after: Duration::from_millis(command.dead_after),
        poll: Duration::from_millis(command.poll),
        drain: Duration::from_millis(command.drain),
        ..WorkerOptions::default()
    };
    Ok(run_worker(Queue::new(pool), registry, options, stop).await?)
}

/// Fires the schedule `faults` until SIGTERM.
pub async fn schedule(command: SchedulerCommand) -> Result<(), FaultsError> {
    let stop = start()?;
    let pool = pool(&command.common, 2, &[])?;
    let visit = Visit { item: command.item, step: 1, steps: 1, act: Act::Sleep(1) };
    let schedule =
        Schedule { name: "faults", cron: command.cron, catch_up: CatchUp::Latest, job: visit.job() };
    Ok(run_scheduler(Queue::new(pool), vec![schedule], Retention::default(), stop).await?)
}

/// Logs to standard error, stops on SIGTERM, and ends at once when the parent is gone.
fn start() -> Result<CancellationToken, FaultsError> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let mut terminate = signal(SignalKind::terminate()).map_err(FaultsError::io("a signal handler"))?;
    let stop = CancellationToken::new();
    let fired = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        fired.cancel();
    });
    std::thread::spawn(|| {
        let mut byte = [0_u8; 16];
        while let Ok(1..) = std::io::stdin().lock().read(&mut byte) {}
        std::process::exit(3);
    });
    Ok(stop)
}

fn pool(common: &Common, connections: u32, settings: &[(&str, &str)]) -> Result<PgPool, FaultsError> {
    let options = PgConnectOptions::from_str(&common.url)?
        .application_name(&common.name)
        .options(settings.iter().copied());
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy_with(options))
}
