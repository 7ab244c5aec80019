//! Options of every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "All commands")]
pub struct CommonOptions {
    /// Directory for the data of `bedel dev`: its PostgreSQL, storage and tokens
    #[arg(long, env = "BEDEL_DATA_DIR", global = true, default_value = ".data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Log filter: error, warn, info, debug or trace, also per module (info,bedel_queue=debug). Logs go to
    /// standard error
    #[arg(long = "log", env = "BEDEL_LOG", global = true, default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// Format of log lines
    #[arg(long, env = "BEDEL_LOG_FORMAT", global = true, default_value = "pretty", value_name = "FORM")]
    pub log_format: LogFormat,

    /// Colours: on a terminal (then NO_COLOR and CLICOLOR_FORCE decide), always, or never
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    pub color: ColorWhen,

    /// Stop when standard input closes, which means that the parent process is gone
    #[arg(long, global = true, hide = true)]
    pub exit_with_parent: bool,
}

/// When the output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal
    Auto,
    /// In pipes too
    Always,
    /// Never
    Never,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text
    Pretty,
    /// One JSON object per line
    Json,
}
