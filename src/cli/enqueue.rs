//! `bedel enqueue`.

use bedel_jobs::audit::Actor;
use bedel_jobs::operations;
use bedel_jobs::registry;
use bedel_jobs::registry::new_job;
use bedel_queue::Queue;
use bedel_storage::Storage;
use clap::Args;
use serde_json::{Value, json};

use super::notify;
use super::output::OutputOptions;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::run::database::{self, Role};
use crate::run::environment;

/// Enqueue a job of any kind, like the program or a schedule does.
///
/// Example: bedel enqueue course-sync '{"dry_run": true}'
#[derive(Debug, Args)]
pub struct EnqueueCommand {
    /// Job kind, such as cleanup-orphans
    kind: String,
    /// Its arguments as a JSON object
    #[arg(default_value = "{}", value_name = "ARGS_JSON")]
    args: String,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

impl EnqueueCommand {
    /// Validates the arguments, enqueues the job and prints its id.
    ///
    /// # Errors
    /// If the kind or its arguments are invalid, or the database fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let args: Value = serde_json::from_str(&self.args).map_err(|error| {
            CliError::Usage(format!("the arguments are not JSON: {error}. Write '{{\"name\": \"value\"}}'"))
        })?;
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let pool = database::pool(&database::resolve(&self.database, &common.data_dir)?, Role::Command)?;
        let registry = registry(environment::without_tools(pool.clone(), Storage::unusable(), settings)?);
        let job = new_job(&registry, &self.kind, args).map_err(|error| CliError::Usage(error.to_string()))?;

        database::ready(&pool).await?;
        let mut tx = pool.begin().await?;
        let enqueued = operations::enqueue_job(&mut tx, &self.kind, &job, Actor::CLI).await?;
        tx.commit().await?;
        notify::wake(&Queue::new(pool)).await;
        self.output.print(&json!({ "job_id": enqueued.id, "created": enqueued.created }), || {
            if enqueued.created {
                format!("{}\n", enqueued.id)
            } else {
                format!("{} (a live job has the same unique key)\n", enqueued.id)
            }
        })
    }
}
