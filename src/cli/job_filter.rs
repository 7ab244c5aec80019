//! The flags that choose jobs, one for each field of the queue's filter.

use bedel_jobs::bulk::Selection;
use bedel_jobs::user::{self, MAX_FILTERED_LECTURES};
use bedel_queue::inspect::{Filter, JobState};
use chrono::{DateTime, Utc};
use clap::Args;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::CliError;

/// Which jobs. Without a flag: all.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct JobFilter {
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only this state: available, running, completed, discarded or cancelled
    #[arg(long)]
    state: Option<JobState>,
    /// Only this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only jobs whose last failed attempt has this class
    #[arg(long, value_name = "CLASS")]
    error_class: Option<String>,
    /// Only jobs whose last attempt ran on the worker of this name
    #[arg(long)]
    worker: Option<String>,
    /// Only jobs that depend on this host
    #[arg(long)]
    host: Option<String>,
    /// Only jobs of this lecture
    #[arg(long, value_name = "UUID")]
    lecture: Option<Uuid>,
    /// Only jobs of this user's lectures
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// Only jobs created at this time or later, such as 2026-11-26T12:00:00Z; with a final state, ended then or later
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Only jobs created before this time; with a final state, ended before
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
}

impl JobFilter {
    /// The queue's filter, from its first job on, with the user's lectures as its subjects.
    ///
    /// # Errors
    /// If the user has too many lectures, or the database fails.
    pub async fn filter(&self, connection: &mut PgConnection) -> Result<Filter, CliError> {
        Ok(self.select(connection).await?.filter)
    }

    /// As [`filter`](Self::filter), for a bulk operation, which records the user instead.
    ///
    /// # Errors
    /// As [`filter`](Self::filter).
    pub async fn select(&self, connection: &mut PgConnection) -> Result<Selection, CliError> {
        let mut filter = Filter {
            kind: self.kind.clone(),
            state: self.state,
            queue: self.queue.clone(),
            error_class: self.error_class.clone(),
            worker: self.worker.clone(),
            group: self.host.clone(),
            subject: self.lecture,
            from: self.from,
            until: self.until,
            ..Filter::default()
        };
        if let Some(user_id) = self.user {
            let too_many = || {
                CliError::Failed(format!(
                    "this user has more than {MAX_FILTERED_LECTURES} lectures: filter by --lecture instead"
                ))
            };
            let lectures = user::filtered_lectures(connection, user_id).await?;
            filter.subjects = Some(lectures.ok_or_else(too_many)?);
        }
        Ok(Selection { filter, user_id: self.user })
    }
}
