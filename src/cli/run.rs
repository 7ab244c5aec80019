//! `bedel api`, `bedel worker`, `bedel scheduler`: the processes of production.

use clap::Args;

use super::CliError;
use crate::config::api::ApiOptions;
use crate::config::auth::AuthOptions;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::config::schedule::ScheduleOptions;
use crate::config::speech::SpeechOptions;
use crate::config::storage::StorageOptions;
use crate::config::worker::WorkerOptions;

/// Serve the HTTP API until SIGTERM.
#[derive(Debug, Args)]
pub struct ApiCommand {
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
    /// See [`JobOptions`].
    #[command(flatten)]
    pub jobs: JobOptions,
}

impl ApiCommand {
    /// Serves until the process is asked to stop.
    ///
    /// # Errors
    /// Where the configuration or the address cannot work.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        crate::serve::run(self, common).await
    }
}

/// Run jobs until SIGTERM; then running jobs get a deadline and the rest is given back.
#[derive(Debug, Args)]
pub struct WorkerCommand {
    /// See [`DatabaseOptions`].
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// See [`WorkerOptions`].
    #[command(flatten)]
    pub worker: WorkerOptions,
    /// See [`StorageOptions`].
    #[command(flatten)]
    pub storage: StorageOptions,
    /// See [`JobOptions`].
    #[command(flatten)]
    pub jobs: JobOptions,
    /// See [`SpeechOptions`].
    #[command(flatten)]
    pub speech: SpeechOptions,
}

impl WorkerCommand {
    /// Works until the process is asked to stop.
    ///
    /// # Errors
    /// Where the configuration cannot work.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        crate::worker::run(self, common).await
    }
}

/// Fire the cron jobs until SIGTERM. Several may run: each tick is fired once.
#[derive(Debug, Args)]
pub struct SchedulerCommand {
    /// See [`DatabaseOptions`].
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// See [`ScheduleOptions`].
    #[command(flatten)]
    pub schedule: ScheduleOptions,
}

impl SchedulerCommand {
    /// Fires until the process is asked to stop.
    ///
    /// # Errors
    /// Where the configuration cannot work.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        crate::scheduler::run(self, common).await
    }
}
