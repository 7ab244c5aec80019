//! `bedel jobs`.

use bedel_jobs::Settings;
use bedel_jobs::lecture::retry::{self, Retried as LectureRetried};
use bedel_jobs::registry::{is_stage, registry};
use bedel_queue::inspect::{self, Filter, JobState};
use bedel_queue::{Queue, Retried};
use bedel_storage::Storage;
use clap::{Args, Subcommand};
use sqlx::PgConnection;
use uuid::Uuid;

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
    /// Run a waiting job now, or start a discarded or cancelled one again; a lecture goes on at the latest stage it can
    Retry(Box<RetryJob>),
    /// Cancel a job; a running one stops within a heartbeat
    Cancel(Box<CancelJob>),
}

/// Which jobs.
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
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// Which job.
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

/// Which job.
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

/// Which job, and why.
#[derive(Debug, Args)]
pub struct CancelJob {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: Uuid,
    /// Why, for whoever looks at the job later
    #[arg(long, default_value = "cancelled by an operator")]
    reason: String,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

impl JobsCommand {
    /// Looks, retries or cancels.
    ///
    /// # Errors
    /// Where there is no such job, or the database refuses.
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
        let mut connection = pool.acquire().await.map_err(failed)?;
        let jobs = inspect::list(&mut connection, &filter).await.map_err(failed)?;
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
        let mut connection = pool.acquire().await.map_err(failed)?;
        let job =
            inspect::job(&mut connection, self.id).await.map_err(failed)?.ok_or_else(|| unknown(self.id))?;
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
        let mut tx = pool.begin().await.map_err(failed)?;
        let job = inspect::job(&mut tx, self.id).await.map_err(failed)?.ok_or_else(|| unknown(self.id))?;
        let due = match job.subject {
            Some(lecture_id) if is_stage(&job.kind) => {
                if matches!(job.state, JobState::Running | JobState::Completed) {
                    return Err(self.refused());
                }
                self.retry_lecture(&mut tx, &settings, lecture_id).await?
            }
            _ => self.retry_job(&mut tx).await?,
        };
        tx.commit().await.map_err(failed)?;
        if let Err(error) = Queue::new(pool).wake_now().await {
            tracing::debug!(%error, "no wake-up; workers look by themselves");
        }
        if due == self.id {
            println!("{due} is available now");
        } else {
            println!("{due} is available now, in place of {}", self.id);
        }
        Ok(())
    }

    /// A stage's job is retried for its lecture's sake, which must not stay `failed` while a job works for it.
    async fn retry_lecture(
        &self,
        tx: &mut PgConnection,
        settings: &Settings,
        lecture_id: Uuid,
    ) -> Result<Uuid, CliError> {
        let reason = match retry::retry(tx, settings, None, lecture_id).await.map_err(failed)? {
            LectureRetried::Due(job) => return Ok(job),
            LectureRetried::NotFound => "is gone",
            LectureRetried::Running => "is being worked on",
            LectureRetried::Completed => "is completed",
        };
        Err(CliError::Failed(format!("lecture {lecture_id} {reason}: there is nothing to retry")))
    }

    async fn retry_job(&self, tx: &mut PgConnection) -> Result<Uuid, CliError> {
        match bedel_queue::retry(tx, self.id).await.map_err(failed)? {
            Retried::Now => Ok(self.id),
            Retried::NotFound => Err(unknown(self.id)),
            Retried::Refused => Err(self.refused()),
        }
    }

    fn refused(&self) -> CliError {
        CliError::Failed(format!(
            "{} is running or completed, or another live job does its work: there is nothing to retry",
            self.id
        ))
    }
}

impl CancelJob {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let registry = registry(environment::without_tools(pool.clone(), Storage::nowhere(), settings)?);
        let mut tx = pool.begin().await.map_err(failed)?;
        let cancelled = registry.cancel(&mut tx, self.id, &self.reason).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        if cancelled.is_none() {
            return Err(CliError::Failed(format!("{} is over already, or there is no such job", self.id)));
        }
        let queue = Queue::new(pool);
        if let Err(error) = queue.announce_cancellation_now().await {
            tracing::debug!(%error, "not announced; workers notice at their next heartbeat");
        }
        println!("{} is cancelled", self.id);
        Ok(())
    }
}

fn failed(error: sqlx::Error) -> CliError {
    CliError::database(&error)
}

fn unknown(id: Uuid) -> CliError {
    CliError::Failed(format!("there is no job {id}; type: bedel jobs list"))
}
