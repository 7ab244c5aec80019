//! `bedel jobs bulk`.

use std::io::{IsTerminal, Write};

use bedel_jobs::audit::Actor;
use bedel_jobs::bulk::{self, BulkAction, BulkError, BulkOperation, Preview, Stopped};
use bedel_jobs::registry;
use bedel_queue::Queue;
use bedel_storage::Storage;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::job_filter::JobFilter;
use super::output::{self, OutputOptions};
use super::{notify, table};
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::run::database;
use crate::run::environment;

/// `bedel jobs bulk …`
#[derive(Debug, Subcommand)]
pub enum BulkCommand {
    /// Retry all waiting, discarded and cancelled jobs that match
    Retry(Change),
    /// Cancel all waiting and running jobs that match
    Cancel(Change),
    /// Change the priority of all waiting jobs that match
    Reprioritise(Reprioritise),
    /// Delete all ended jobs that match, with their history
    Delete(Change),
    /// Show an operation and how far it is; without an id the newest ones
    Status(Status),
    /// Stop an operation; what it changed stays changed
    Stop(Stop),
}

/// A change of the jobs that match.
#[derive(Debug, Args)]
pub struct Change {
    #[command(flatten)]
    filter: JobFilter,
    /// Count the jobs and show a few of them; change nothing
    #[arg(long)]
    preview: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// A change of priority.
#[derive(Debug, Args)]
pub struct Reprioritise {
    /// The new priority, 1 (first) to 4 (last)
    #[arg(long, value_parser = clap::value_parser!(i16).range(1..=4))]
    priority: i16,
    #[command(flatten)]
    change: Change,
}

/// The operation to show.
#[derive(Debug, Args)]
pub struct Status {
    /// Its id
    #[arg(value_name = "OPERATION")]
    id: Option<Uuid>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// The operation to stop.
#[derive(Debug, Args)]
pub struct Stop {
    /// Its id
    #[arg(value_name = "OPERATION")]
    id: Uuid,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

impl BulkCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If the filter is empty, the operation does not exist, or the database fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        match self {
            Self::Retry(change) => change.run(common, BulkAction::Retry).await,
            Self::Cancel(change) => change.run(common, BulkAction::Cancel).await,
            Self::Reprioritise(command) => {
                command.change.run(common, BulkAction::Reprioritise(command.priority)).await
            }
            Self::Delete(change) => change.run(common, BulkAction::Delete).await,
            Self::Status(command) => command.run(common).await,
            Self::Stop(command) => command.run(common).await,
        }
    }
}

impl Change {
    async fn run(&self, common: &CommonOptions, action: BulkAction) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut tx = pool.begin().await?;
        let selection = self.filter.select(&mut tx).await?;
        if selection.filter.is_empty() {
            return Err(CliError::Usage(BulkError::EmptyFilter.to_string()));
        }
        if self.preview || !self.yes {
            let preview = bulk::preview(&mut tx, &selection.filter).await?;
            if self.preview {
                return self.output.print(&preview, || shown(&preview));
            }
            // No transaction stays open while a person decides.
            tx.rollback().await?;
            output::write(&shown(&preview))?;
            confirm(action.name())?;
            tx = pool.begin().await?;
        }
        let operation = match bulk::start(&mut tx, action, &selection, Actor::CLI).await {
            Ok(operation) => operation,
            Err(BulkError::EmptyFilter) => return Err(CliError::Usage(BulkError::EmptyFilter.to_string())),
            Err(BulkError::Database(error)) => return Err(error.into()),
        };
        tx.commit().await?;
        notify::wake(&Queue::new(pool)).await;
        self.output.print(&operation, || {
            format!("started; to see how far it is: bedel jobs bulk status {}\n", operation.id)
        })
    }
}

/// Asks on the terminal.
fn confirm(action: &str) -> Result<(), CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Usage(format!("nothing was changed: to {action} these jobs, add --yes")));
    }
    print!("{action} these jobs? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    read.map_err(|error| CliError::Failed(format!("the answer could not be read: {error}")))?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(CliError::Failed("nothing was changed".to_owned()))
}

fn shown(preview: &Preview) -> String {
    let rows: Vec<_> = preview
        .sample
        .iter()
        .map(|job| {
            vec![
                job.id.to_string(),
                job.kind.clone(),
                job.state.to_string(),
                table::time(job.created_at),
                job.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let more = if preview.count.more { ", or more" } else { "" };
    let table = table::render(&["JOB", "KIND", "STATE", "CREATED", "REASON"], &rows);
    format!("{table}{} jobs match{more}\n", preview.count.jobs)
}

impl Status {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        let operations = match self.id {
            Some(id) => vec![bulk::status(&mut connection, id).await?.ok_or_else(|| unknown(id))?],
            None => bulk::newest(&mut connection, 20).await?,
        };
        self.output.print(&operations, || {
            let rows: Vec<_> = operations.iter().map(line).collect();
            let columns =
                ["OPERATION", "STARTED", "ACTION", "FILTER", "TOTAL", "CHANGED", "REFUSED", "OUTCOME"];
            table::render(&columns, &rows)
        })
    }
}

fn line(operation: &BulkOperation) -> Vec<String> {
    let more = if operation.total_is_capped { " or more" } else { "" };
    vec![
        operation.id.to_string(),
        table::time(operation.created_at),
        operation.action.clone(),
        operation.filter.to_string(),
        format!("{}{more}", operation.total),
        operation.changed.to_string(),
        operation.refused.to_string(),
        operation.outcome.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

impl Stop {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let registry = registry(environment::without_tools(pool.clone(), Storage::unusable(), settings)?);
        let mut tx = pool.begin().await?;
        match bulk::stop(&mut tx, &registry, self.id, Actor::CLI).await? {
            Stopped::Stopped => {}
            Stopped::NotFound => return Err(unknown(self.id)),
            Stopped::Ended => return Err(CliError::Failed(format!("{} has ended", self.id))),
        }
        tx.commit().await?;
        notify::cancellation(&Queue::new(pool.clone())).await;
        let operation = bulk::status(&mut *pool.acquire().await?, self.id).await?;
        self.output.print(&operation, || format!("{} is stopped\n", self.id))
    }
}

fn unknown(id: Uuid) -> CliError {
    CliError::Failed(format!("there is no bulk operation {id}; type: bedel jobs bulk status"))
}
