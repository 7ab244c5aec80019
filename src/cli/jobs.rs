//! `bedel jobs`.

use std::sync::Arc;

use bedel_jobs::audit::Actor;
use bedel_jobs::lecture::retry::Retried;
use bedel_jobs::operations::{self, JobCancelled, JobRetried};
use bedel_jobs::{Environment, Settings, registry};
use bedel_queue::inspect::{self, Filter, JobView};
use bedel_queue::{Queue, Registry};
use bedel_storage::Storage;
use clap::{Args, Subcommand};
use sqlx::PgPool;
use uuid::Uuid;

use super::bulk::BulkCommand;
use super::job_filter::JobFilter;
use super::notify;
use super::output::OutputOptions;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::run::database;
use crate::run::environment;

mod show;

/// `bedel jobs …`
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List jobs, newest first
    List(ListJobs),
    /// Show one job with its failed attempts
    Show(ShowJob),
    /// Make a waiting job due, or restart a discarded or cancelled one; a lecture resumes at its latest
    /// possible stage
    Retry(Box<RetryJob>),
    /// Cancel a job; a running one stops within a heartbeat
    Cancel(Box<CancelJob>),
    /// Retry, cancel, reprioritise or delete all jobs that match a filter
    #[command(subcommand)]
    Bulk(Box<BulkCommand>),
}

/// Filter and format of a list.
#[derive(Debug, Args)]
pub struct ListJobs {
    #[command(flatten)]
    filter: JobFilter,
    /// Maximum number of jobs
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// The job to show.
#[derive(Debug, Args)]
pub struct ShowJob {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: Uuid,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// The job to retry.
#[derive(Debug, Args)]
pub struct RetryJob {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: Uuid,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

/// The job to cancel.
#[derive(Debug, Args)]
pub struct CancelJob {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: Uuid,
    /// Reason, shown with the job
    #[arg(long, default_value = "cancelled by an operator")]
    reason: String,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

impl JobsCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If there is no such job, or the database fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        match self {
            Self::List(command) => command.run(common).await,
            Self::Show(command) => command.run(common).await,
            Self::Retry(command) => command.run(common).await,
            Self::Cancel(command) => command.run(common).await,
            Self::Bulk(command) => command.run(common).await,
        }
    }
}

impl ListJobs {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        let filter = Filter { limit: self.limit, ..self.filter.filter(&mut connection).await? };
        let jobs = inspect::list(&mut connection, &filter).await?;
        self.output.print(&jobs, || show::list(&jobs))
    }
}

impl ShowJob {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let job = read(&pool, self.id).await?;
        self.output.print(&job, || show::story(&job))
    }
}

impl RetryJob {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let due = retry(&pool, &settings, self.id).await?;
        self.output.print(&read(&pool, due).await?, || {
            if due == self.id {
                format!("{due} is available now\n")
            } else {
                format!("{due} is available now, in place of {}\n", self.id)
            }
        })
    }
}

impl CancelJob {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let registry = registry(environment::without_tools(pool.clone(), Storage::unusable(), settings)?);
        cancel(&pool, &registry, self.id, &self.reason).await?;
        self.output.print(&read(&pool, self.id).await?, || format!("{} is cancelled\n", self.id))
    }
}

/// Makes a job due and wakes the workers. Returns the job that is due, which may be another one.
///
/// # Errors
/// If there is no such job, there is nothing to retry, or the database fails.
pub(super) async fn retry(pool: &PgPool, settings: &Settings, id: Uuid) -> Result<Uuid, CliError> {
    let mut tx = pool.begin().await?;
    let due = match operations::retry_job(&mut tx, settings, id, Actor::CLI).await? {
        JobRetried::Due(due) => due,
        JobRetried::NotFound => return Err(unknown(id)),
        JobRetried::Refused => {
            return Err(CliError::Failed(format!(
                "{id} is running or completed, or another live job does its work: there is nothing to retry"
            )));
        }
        JobRetried::LectureRefused(lecture_id, refused) => {
            let state = match refused {
                Retried::NotFound => "does not exist",
                Retried::Running => "is in progress",
                Retried::Completed | Retried::Due(_) => "is completed",
            };
            return Err(CliError::Failed(format!("lecture {lecture_id} {state}: there is nothing to retry")));
        }
    };
    tx.commit().await?;
    notify::wake(&Queue::new(pool.clone())).await;
    Ok(due)
}

/// Cancels a job and informs the workers.
///
/// # Errors
/// If there is no such job, it has ended, or the database fails.
pub(super) async fn cancel(
    pool: &PgPool,
    registry: &Registry<Arc<Environment>>,
    id: Uuid,
    reason: &str,
) -> Result<(), CliError> {
    let mut tx = pool.begin().await?;
    match operations::cancel_job(&mut tx, registry, id, reason, Actor::CLI).await? {
        JobCancelled::Cancelled => {}
        JobCancelled::NotFound => return Err(unknown(id)),
        JobCancelled::Final => return Err(CliError::Failed(format!("{id} has ended"))),
    }
    tx.commit().await?;
    let queue = Queue::new(pool.clone());
    // The kind's hook may have enqueued a clean-up.
    notify::wake(&queue).await;
    notify::cancellation(&queue).await;
    Ok(())
}

/// The job, after a change too.
async fn read(pool: &PgPool, id: Uuid) -> Result<JobView, CliError> {
    let mut connection = pool.acquire().await?;
    inspect::job(&mut connection, id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: Uuid) -> CliError {
    CliError::Failed(format!("there is no job {id}; type: bedel jobs list"))
}
