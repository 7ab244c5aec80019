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

/// Other things to measure, and what the benchmark starts itself as.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// The HTTP API beside pgbench.
    Api(HttpArgs),
    /// Downloads beside curl and ffmpeg.
    Download(DownloadArgs),
    /// Transcription beside whisper.cpp and faster-whisper.
    Speech(SpeechArgs),
    /// Started by the benchmark: one file, fetched as downloads fetch it.
    #[command(hide = true)]
    Fetch(FetchArgs),
    /// Started by the benchmark: one worker process.
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct RunOptions {
    /// Rounds; each runs every contender once. Medians are told.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Only these contenders, by name.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these measures.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub measure: Vec<Measure>,
    /// One round of less work, to iterate with.
    #[arg(long)]
    pub quick: bool,
    /// Settings to try, for contenders that have them: slots=500,batch=100.
    #[arg(long, default_value = "")]
    pub tune: String,
    /// Also compare with the aims and say which are met.
    #[arg(long)]
    pub check: bool,
    /// Write docs/benchmarks.json and docs/benchmarks.md.
    #[arg(long)]
    pub publish: bool,
    /// Measure nothing: work with the results of this file.
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// Go on with the run whose results are in this file, until it has all rounds.
    #[arg(long, conflicts_with = "from")]
    pub more: Option<PathBuf>,
    /// Where results go.
    #[arg(long, default_value = "results", hide = true)]
    pub results: PathBuf,
    /// Where published results go.
    #[arg(long, default_value = "../../docs", hide = true)]
    pub docs: PathBuf,
}
