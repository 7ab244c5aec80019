//! Bulk operations: one action on all jobs that match a filter.
//!
//! [`start`] writes a row of `bulk_operations` and enqueues a `bulk-jobs` job, which works through the matching jobs
//! in order of id, in portions. The row is the truth: each portion's changes, counts and position commit together.

mod portion;
mod selection;

use bedel_queue::inspect::{self, Count, Filter, JobView};
use bedel_queue::{COUNT_LIMIT, NewJob, Registry, enqueue};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::audit::{self, Action, Actor, Source};
use crate::environment::Context;
use crate::kinds::BulkJobs;

pub(crate) use portion::{Portion, work_portion};
pub use selection::Selection;

/// What to do with each job that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkAction {
    /// As a retry of one job by hand: waiting, discarded and cancelled jobs.
    Retry,
    /// As a cancellation of one job: waiting and running jobs.
    Cancel,
    /// Gives waiting jobs this priority, 1 (first) to 4 (last).
    Reprioritise(i16),
    /// Deletes ended jobs with their history.
    Delete,
}

impl BulkAction {
    /// The action of this name. `reprioritise` needs a priority from 1 to 4; the others take none.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn new(name: &str, priority: Option<i16>) -> Result<Self, &'static str> {
        match (name, priority) {
            ("reprioritise", Some(priority @ 1..=4)) => Ok(Self::Reprioritise(priority)),
            ("reprioritise", _) => Err("this action needs a priority from 1 to 4"),
            ("retry", None) => Ok(Self::Retry),
            ("cancel", None) => Ok(Self::Cancel),
            ("delete", None) => Ok(Self::Delete),
            ("retry" | "cancel" | "delete", Some(_)) => Err("this action takes no priority"),
            _ => Err("this must be retry, cancel, reprioritise or delete"),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Reprioritise(_) => "reprioritise",
            Self::Delete => "delete",
        }
    }

    const fn priority(self) -> Option<i16> {
        match self {
            Self::Reprioritise(priority) => Some(priority),
            _ => None,
        }
    }
}

/// A bulk operation: one row of `bulk_operations`.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct BulkOperation {
    /// Its id.
    pub id: Uuid,
    /// Its job in the queue.
    pub job_id: Uuid,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// Who started it; None for the command line.
    pub user_id: Option<Uuid>,
    /// `api`, `cli` or `ui`.
    pub source: String,
    /// `retry`, `cancel`, `reprioritise` or `delete`.
    pub action: String,
    /// The conditions as they were given: those of [`Filter`], or `user_id` instead of its subjects.
    pub filter: Value,
    /// The new priority of `reprioritise`.
    pub priority: Option<i16>,
    /// Matching jobs at the start.
    pub total: i64,
    /// True if there may have been more.
    pub total_is_capped: bool,
    /// Jobs changed so far.
    pub changed: i64,
    /// Matching jobs so far that the action does not apply to, such as running ones for a retry.
    pub refused: i64,
    /// When it ended; None while it waits or works.
    pub ended_at: Option<DateTime<Utc>>,
    /// `done`, `stopped` or `failed`; None while it waits or works.
    pub outcome: Option<String>,
}

/// The columns of a [`BulkOperation`], named for the same reason as a lecture's.
macro_rules! columns {
    () => {
        "id, job_id, created_at, user_id, source, action, filter, priority, total, total_is_capped, changed, refused,
         ended_at, outcome"
    };
}

/// What a bulk operation would work on.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// Matching jobs.
    pub count: Count,
    /// The first few, newest first.
    pub sample: Vec<JobView>,
}

/// Jobs in a preview.
const SAMPLE: i64 = 10;

/// The jobs that match, counted up to [`COUNT_LIMIT`], and a sample.
///
/// # Errors
/// If the database is away.
pub async fn preview(connection: &mut PgConnection, filter: &Filter) -> Result<Preview, sqlx::Error> {
    let filter = Filter { after: None, limit: SAMPLE, ..filter.clone() };
    let count = inspect::count(connection, &filter, COUNT_LIMIT).await?;
    Ok(Preview { count, sample: inspect::list(connection, &filter).await? })
}

/// Why a bulk operation was not started.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// The filter matches every job.
    #[error("the filter is empty and would match every job: set at least one condition")]
    EmptyFilter,
    /// The database is away or refuses a statement.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Starts a bulk operation. It works on the jobs enqueued before now that match when it reaches them. Wake the
/// workers after the commit.
///
/// # Errors
/// If the filter is empty, or the database refuses a statement.
pub async fn start(
    tx: &mut PgConnection,
    action: BulkAction,
    selection: &Selection,
    by: Actor,
) -> Result<BulkOperation, BulkError> {
    let filter = &selection.filter;
    if filter.is_empty() {
        return Err(BulkError::EmptyFilter);
    }
    let count = inspect::count(tx, filter, COUNT_LIMIT).await?;
    let id = Uuid::new_v4();
    let job = enqueue(tx, &NewJob::new(&BulkJobs { operation_id: id }).subject(id)).await?;
    let (conditions, subjects) = selection.split();
    let operation = sqlx::query_as(concat!(
        "-- bulk::start
         INSERT INTO bulk_operations
                (id, job_id, user_id, source, action, filter, priority, total, total_is_capped, subjects, position)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '00000000-0000-0000-0000-000000000000')
         RETURNING ",
        columns!()
    ))
    .bind(id)
    .bind(job.id)
    .bind(by.user_id)
    .bind(by.source.name())
    .bind(action.name())
    .bind(&conditions)
    .bind(action.priority())
    .bind(count.jobs)
    .bind(count.more)
    .bind(subjects)
    .fetch_one(&mut *tx)
    .await?;
    let detail = json!({ "action": action.name(), "filter": conditions, "priority": action.priority() });
    audit::record(tx, by, Action::StartBulk, Some(&id.to_string()), 0, detail).await?;
    delete_old(tx).await?;
    Ok(operation)
}

/// Deletes a few operations that ended long ago.
async fn delete_old(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- bulk::delete_old
         DELETE FROM bulk_operations
          WHERE id = ANY (ARRAY(SELECT id FROM bulk_operations
                                 WHERE created_at < now() - make_interval(days => $1) AND ended_at IS NOT NULL
                                 ORDER BY created_at LIMIT 20 FOR UPDATE SKIP LOCKED))",
    )
    .bind(audit::KEPT_DAYS)
    .execute(tx)
    .await?;
    Ok(())
}

/// The operation with its counts so far. None if there is none of this id.
///
/// # Errors
/// If the database is away.
pub async fn status(connection: &mut PgConnection, id: Uuid) -> Result<Option<BulkOperation>, sqlx::Error> {
    sqlx::query_as(concat!("-- bulk::status\nSELECT ", columns!(), " FROM bulk_operations WHERE id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await
}

/// The newest operations.
///
/// # Errors
/// If the database is away.
pub async fn newest(connection: &mut PgConnection, limit: i64) -> Result<Vec<BulkOperation>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- bulk::newest\nSELECT ",
        columns!(),
        " FROM bulk_operations ORDER BY created_at DESC LIMIT $1"
    ))
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// Outcome of [`stop`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It is stopped; what it changed stays changed.
    Stopped,
    /// There is no such operation.
    NotFound,
    /// It ended before.
    Ended,
}

/// Stops an operation after the portion at work. Announce the cancellation after the commit.
///
/// # Errors
/// If the database refuses a statement.
pub async fn stop(
    tx: &mut PgConnection,
    registry: &Registry<Context>,
    id: Uuid,
    by: Actor,
) -> Result<Stopped, sqlx::Error> {
    let Some((job_id, ended)) = lock(tx, id).await? else { return Ok(Stopped::NotFound) };
    if ended || registry.cancel(tx, job_id, "stopped by an administrator").await?.is_none() {
        return Ok(Stopped::Ended);
    }
    audit::record(tx, by, Action::StopBulk, Some(&id.to_string()), 0, json!({})).await?;
    Ok(Stopped::Stopped)
}

async fn lock(tx: &mut PgConnection, id: Uuid) -> Result<Option<(Uuid, bool)>, sqlx::Error> {
    sqlx::query_as(
        "-- bulk::lock\nSELECT job_id, ended_at IS NOT NULL FROM bulk_operations WHERE id = $1 FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(tx)
    .await
}

/// Lets a stopped or failed operation resume, when its job is retried by hand.
pub(crate) async fn reopen(tx: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- bulk::reopen
         UPDATE bulk_operations SET ended_at = NULL, outcome = NULL WHERE id = $1 AND outcome <> 'done'",
    )
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends an operation and records how many jobs it changed. Does nothing if it ended before.
pub(crate) async fn end(tx: &mut PgConnection, id: Uuid, outcome: &str) -> Result<(), sqlx::Error> {
    let ended: Option<BulkOperation> = sqlx::query_as(concat!(
        "-- bulk::end
         UPDATE bulk_operations SET ended_at = now(), outcome = $2 WHERE id = $1 AND ended_at IS NULL RETURNING ",
        columns!()
    ))
    .bind(id)
    .bind(outcome)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(operation) = ended else { return Ok(()) };
    let source = [Source::Api, Source::Ui].into_iter().find(|source| source.name() == operation.source);
    let by = Actor { user_id: operation.user_id, source: source.unwrap_or(Source::Cli) };
    let detail = json!({
        "action": operation.action, "filter": operation.filter, "outcome": outcome, "refused": operation.refused
    });
    audit::record(tx, by, Action::EndBulk, Some(&id.to_string()), operation.changed, detail).await
}
