//! The command line.

use std::path::PathBuf;

use crate::download::{DownloadArgs, FetchArgs};
use crate::http::HttpArgs;
use crate::measure::Measure;
use crate::speech::SpeechArgs;
use crate::worker::WorkerArgs;

/// Bedel's queue beside other queues on PostgreSQL.
#[derive(Debug, clap::Parser)]
pub struct Options {
    /// A worker process of the benchmark.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The run.
    #[command(flatten)]
    pub run: RunOptions,
}

/// Other benchmarks, and the benchmark's child processes.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// The HTTP API beside pgbench.
    Api(HttpArgs),
    /// Downloads beside curl and ffmpeg.
    Download(DownloadArgs),
    /// Transcription beside whisper.cpp and faster-whisper.
    Speech(SpeechArgs),
    /// Child process: fetches one file as download jobs do.
    #[command(hide = true)]
    Fetch(FetchArgs),
    /// Child process: one worker.
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct RunOptions {
    /// Rounds; each runs every contender once. Reports medians.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Only these contenders, by name.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these measures.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub measure: Vec<Measure>,
    /// One round of less work.
    #[arg(long)]
    pub quick: bool,
    /// Overrides of contenders' settings: slots=500,batch=100.
    #[arg(long, default_value = "")]
    pub tune: String,
    /// Also print which aims are met.
    #[arg(long)]
    pub check: bool,
    /// Write docs/reference/benchmarks.json and docs/reference/benchmarks.md.
    #[arg(long)]
    pub publish: bool,
    /// Measure nothing: use the results in this file.
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// Continue the run whose results are in this file until it has all rounds.
    #[arg(long, conflicts_with = "from")]
    pub more: Option<PathBuf>,
    /// Directory of results.
    #[arg(long, default_value = "results", hide = true)]
    pub results: PathBuf,
    /// Directory of published results.
    #[arg(long, default_value = "../../docs", hide = true)]
    pub docs: PathBuf,
}
