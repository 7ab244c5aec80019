//! `bedel dev`.

use clap::Args;

use crate::config::api::ApiOptions;
use crate::config::auth::AuthOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::config::postgres::PostgresOptions;
use crate::config::schedule::ScheduleOptions;
use crate::config::speech::SpeechOptions;
use crate::config::storage::StorageOptions;
use crate::config::worker::WorkerOptions;

/// Run everything on this machine: PostgreSQL, API, workers and scheduler, until Ctrl-C.
///
/// Without DATABASE_URL it runs a private PostgreSQL in the data directory, with full durability, from the
/// programs installed on this machine. Processes that die are restarted. Once everything is up it prints
/// `ready:` and a token. Other programs, such as `bedel submit` and `bedel jobs`, find it through dev.json in
/// the data directory.
#[derive(Debug, Args)]
pub struct DevCommand {
    /// Number of worker processes
    #[arg(long, env = "BEDEL_WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64), value_name = "N")]
    pub workers: u16,

    /// See [`PostgresOptions`].
    #[command(flatten)]
    pub postgres: PostgresOptions,

    /// See [`DatabaseOptions`].
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// See [`ApiOptions`].
    #[command(flatten)]
    pub api: ApiOptions,
    /// See [`AuthOptions`].
    #[command(flatten)]
    pub auth: AuthOptions,
    /// See [`StorageOptions`].
    #[command(flatten)]
    pub storage: StorageOptions,
    /// See [`WorkerOptions`].
    #[command(flatten)]
    pub worker: WorkerOptions,
    /// See [`JobOptions`].
    #[command(flatten)]
    pub jobs: JobOptions,
    /// See [`SpeechOptions`].
    #[command(flatten)]
    pub speech: SpeechOptions,
    /// See [`ScheduleOptions`].
    #[command(flatten)]
    pub schedule: ScheduleOptions,

    /// True if the drain time was set explicitly.
    #[arg(skip)]
    pub drain_is_configured: bool,
}
