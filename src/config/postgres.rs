//! The private PostgreSQL of `bedel dev`.

use std::path::PathBuf;

use clap::Args;

/// The private PostgreSQL of `bedel dev`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Private PostgreSQL")]
pub struct PostgresOptions {
    /// Directory of the PostgreSQL programs (initdb, postgres) for `bedel dev` [default: the highest version
    /// found]
    #[arg(long, env = "BEDEL_PG_BIN", value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,
}
