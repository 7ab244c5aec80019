//! The command line of the speech benchmark.

use std::path::PathBuf;

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct SpeechArgs {
    /// Path of the bedel program.
    #[arg(long)]
    pub(super) bedel: PathBuf,
    /// Directory of script/peers.
    #[arg(long)]
    pub(super) peers: PathBuf,
    /// Directory of script/speech's recording.
    #[arg(long)]
    pub(super) spoken: PathBuf,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "words,cuts,survival")]
    pub(super) only: Vec<Part>,
    /// Write docs/benchmarks-speech.md.
    #[arg(long)]
    pub(super) publish: bool,
    /// Directory of published results.
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
