//! The speech engine and its model.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The speech engine and its model.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Speech")]
pub struct SpeechOptions {
    /// The engine of this process. A worker without one leaves the transcribe jobs to others
    #[arg(long, env = "BEDEL_ENGINE", default_value = "embedded", value_name = "ENGINE")]
    pub engine: EngineChoice,

    /// The embedded engine's model: a name that `bedel model list` shows, or the path of a ggml file
    #[arg(long, env = "BEDEL_MODEL", default_value = "tiny.en", value_name = "MODEL")]
    pub model: String,

    /// Where models are installed [default: bedel/models in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, env = "BEDEL_MODEL_DIR", value_name = "DIR")]
    pub model_dir: Option<PathBuf>,

    /// Language spoken, such as en; without it a multilingual model finds out by itself
    #[arg(long, env = "BEDEL_LANGUAGE", value_name = "CODE")]
    pub language: Option<String>,
}

/// The engine of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// Whisper in this process
    Embedded,
    /// No engine
    None,
}
