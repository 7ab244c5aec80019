//! `bedel jobs`.

use bedel_jobs::lecture::retry::Retried;
use bedel_jobs::registry;
use bedel_queue::Queue;
use bedel_queue::inspect::{self, Filter, JobState};
use bedel_storage::Storage;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::notify;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::operations::{self, JobCancelled, JobRetried};
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
}

/// Filter and format of a list.
#[derive(Debug, Args)]
pub struct ListJobs {
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only this state: available, running, completed, discarded or cancelled
    #[arg(long)]
    state: Option<JobState>,
    /// Only jobs of this lecture
    #[arg(long, value_name = "UUID")]
    lecture: Option<Uuid>,
    /// Maximum number of jobs
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// The job to show.
#[derive(Debug, Args)]
pub struct ShowJob {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: Uuid,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
        }
    }
}

impl ListJobs {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let filter = Filter {
            kind: self.kind.clone(),
            state: self.state,
            subject: self.lecture,
            after: None,
            limit: self.limit,
        };
        let mut connection = pool.acquire().await?;
        let jobs = inspect::list(&mut connection, &filter).await?;
        if self.json {
            println!("{}", serde_json::to_string(&jobs).expect("a job is plain data"));
            return Ok(());
        }
        print!("{}", show::list(&jobs));
        Ok(())
    }
}

impl ShowJob {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        let job = inspect::job(&mut connection, self.id).await?.ok_or_else(|| unknown(self.id))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&job).expect("a job is plain data"));
        } else {
            print!("{}", show::story(&job));
        }
        Ok(())
    }
}

impl RetryJob {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut tx = pool.begin().await?;
        let due = match operations::retry_job(&mut tx, &settings, self.id).await? {
            JobRetried::Due(due) => due,
            JobRetried::NotFound => return Err(unknown(self.id)),
            JobRetried::Refused => {
                return Err(CliError::Failed(format!(
                    "{} is running or completed, or another live job does its work: there is nothing to retry",
                    self.id
                )));
            }
            JobRetried::LectureRefused(lecture_id, refused) => {
                let state = match refused {
                    Retried::NotFound => "does not exist",
                    Retried::Running => "is in progress",
                    Retried::Completed | Retried::Due(_) => "is completed",
                };
                return Err(CliError::Failed(format!(
                    "lecture {lecture_id} {state}: there is nothing to retry"
                )));
            }
        };
        tx.commit().await?;
        notify::wake(&Queue::new(pool)).await;
        if due == self.id {
            println!("{due} is available now");
        } else {
            println!("{due} is available now, in place of {}", self.id);
        }
        Ok(())
    }
}

impl CancelJob {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let registry = registry(environment::without_tools(pool.clone(), Storage::unusable(), settings)?);
        let mut tx = pool.begin().await?;
        match operations::cancel_job(&mut tx, &registry, self.id, &self.reason).await? {
            JobCancelled::Cancelled => {}
            JobCancelled::NotFound => return Err(unknown(self.id)),
            JobCancelled::Final => return Err(CliError::Failed(format!("{} has ended", self.id))),
        }
        tx.commit().await?;
        let queue = Queue::new(pool);
        // The kind's hook may have enqueued a clean-up.
        notify::wake(&queue).await;
        notify::cancellation(&queue).await;
        println!("{} is cancelled", self.id);
        Ok(())
    }
}

fn unknown(id: Uuid) -> CliError {
    CliError::Failed(format!("there is no job {id}; type: bedel jobs list"))
}
