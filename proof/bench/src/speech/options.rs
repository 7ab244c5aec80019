//! The command line of the speech benchmark.

use std::path::PathBuf;

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct SpeechArgs {
    /// The program to be measured.
    #[arg(long)]
    pub(super) bedel: PathBuf,
    /// What script/peers brought in.
    #[arg(long)]
    pub(super) peers: PathBuf,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "words,cuts,survival")]
    pub(super) only: Vec<Part>,
    /// Write docs/benchmarks-speech.md.
    #[arg(long)]
    pub(super) publish: bool,
    /// Where published results go.
    #[arg(long, default_value = "../../docs", hide = true)]
    pub(super) docs: PathBuf,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// Which words are heard, when, how fast, in how much memory
    Words,
    /// Where a recording is cut
    Cuts,
    /// What is transcribed again after kills and stops
    Survival,
}
