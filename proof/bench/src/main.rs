//! Measures Bedel beside other queues in the same run. Started by `script/bench`.

mod bench;
mod clock;
mod contender;
mod database;
mod directory;
mod download;
mod error;
mod gate;
mod http;
mod measure;
mod measures;
mod options;
mod page;
mod peers;
mod probe;
mod program;
mod report;
mod run;
mod server;
mod speech;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::error::{BenchError, Result, io};
use crate::options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    // Logging by the contenders would distort the measurement.
    let filter = EnvFilter::try_from_env("BENCH_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // The fetcher of downloads expects one, as in the program itself.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        unreachable!("nothing else installs a provider");
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    match runtime.block_on(start(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start(options: Options) -> Result<()> {
    match options.command {
        Some(Command::Api(args)) => until_stopped(http::run(&args)).await,
        Some(Command::Download(args)) => until_stopped(download::run(&args)).await,
        Some(Command::Speech(args)) => until_stopped(speech::run(&args)).await,
        Some(Command::Fetch(args)) => download::fetch(&args).await,
        Some(Command::Worker(args)) => worker::run(peers::named(&args.contender)?.as_ref(), &args).await,
        None => until_stopped(run::run(&options.run)).await,
    }
}

/// Dropping the run stops the server and its workers and removes their files.
async fn until_stopped(run: impl Future<Output = Result<()>>) -> Result<()> {
    let mut end = signal(SignalKind::terminate()).map_err(io("listen for signals"))?;
    tokio::select! {
        outcome = run => outcome,
        _ = tokio::signal::ctrl_c() => Err(BenchError::Interrupted),
        _ = end.recv() => Err(BenchError::Interrupted),
    }
}
