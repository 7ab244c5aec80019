//! What every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct CommonOptions {
    /// Directory of this project's own data: the private PostgreSQL of `bedel dev`, its storage and its tokens
    #[arg(long, env = "BEDEL_DATA_DIR", global = true, default_value = ".data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// What is logged, to standard error: error, warn, info, debug or trace, also per module
    /// (info,bedel_queue=debug)
    #[arg(long = "log", env = "BEDEL_LOG", global = true, default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// Form of the log lines
    #[arg(long, env = "BEDEL_LOG_FORMAT", global = true, default_value = "pretty", value_name = "FORM")]
    pub log_format: LogFormat,

    /// Stop when standard input closes, that is, when the process that holds its other end is gone
    #[arg(long, global = true, hide = true)]
    pub exit_with_parent: bool,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for a person
    Pretty,
    /// One JSON object a line, for a log collector
    Json,
}
