//! Faults for the queue: real worker processes on a real PostgreSQL are killed, stopped and cut off at
//! moments that a seed decides. A checker then reads the tables and the ledger of side effects.
//!
//! `faults run` plays the scenarios and prints a table. The two hidden commands are the processes that it
//! starts and kills.

mod checker;
mod clock;
mod doubles;
mod error;
mod expect;
mod jobs;
mod ledger;
mod plan;
mod process;
mod publish;
mod report;
mod rescue;
mod round;
mod scenarios;
mod server;
mod suite;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::error::FaultsError;
use crate::suite::{Form, Suite};

/// Plays faults against the queue and counts what broke.
#[derive(Debug, Parser)]
#[command(name = "faults", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays the scenarios and prints the table; ends with 1 where a promise was broken.
    Run(RunCommand),
    /// A worker process, as the scenarios start it.
    #[command(hide = true)]
    Worker(worker::WorkerCommand),
    /// A scheduler process, as the scenarios start it.
    #[command(hide = true)]
    Scheduler(worker::SchedulerCommand),
}

#[derive(Debug, Args)]
struct RunCommand {
    /// Few rounds of each scenario: minutes instead of half an hour.
    #[arg(long)]
    short: bool,
    /// Replays a plan: the same processes meet the same faults at the same moments after the round's start.
    #[arg(long, env = "FAULTS_SEED")]
    seed: Option<u64>,
    /// Only these scenarios, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds of each scenario, instead of the form's own number.
    #[arg(long)]
    rounds: Option<u32>,
    /// Writes the table into this file, between its two marks.
    #[arg(long, value_name = "FILE")]
    publish: Option<PathBuf>,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        match Cli::parse().command {
            Command::Run(command) => run(command).await,
            Command::Worker(command) => worker::run(command).await.map(|()| true),
            Command::Scheduler(command) => worker::schedule(command).await.map(|()| true),
        }
    });
    // A handler that blocks a thread must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("faults: {error}");
            ExitCode::from(2)
        }
    }
}

/// True if every promise held.
async fn run(command: RunCommand) -> Result<bool, FaultsError> {
    let form = if command.short { Form::Short } else { Form::Long };
    let suite = Suite::new(form, command.seed, command.rounds)?;
    println!("FAULTS_SEED={} replays this plan", suite.seed());
    let report = scenarios::play(&suite, &command.only).await?;
    println!("{}", report.table());
    if let Some(file) = command.publish {
        publish::publish(&file, &report, &suite).await?;
        println!("published in {}", file.display());
    }
    Ok(report.is_clean())
}
