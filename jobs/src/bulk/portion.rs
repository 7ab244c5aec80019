//! One portion of a bulk operation: a few hundred jobs in one short transaction.
//!
//! Lock order: the operation's row, the lectures in order of id, then the jobs in order of id.

use std::time::{Duration, Instant};

use bedel_queue::inspect::{JobState, Walked, walk};
use bedel_queue::{Job, JobError, Registry, cancel_many, delete_many, reprioritise_many, retry_many};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::selection::Selection;
use crate::environment::Context;
use crate::kinds::BulkJobs;
use crate::lecture::last_job;
use crate::operations::{self, JobRetried};
use crate::pipeline::is_stage;

/// Most jobs of one portion.
const JOBS: usize = 500;

/// Jobs with hooks are changed one by one. A portion that took this long ends early, so that its locks delay no
/// worker for long.
const LONGEST: Duration = Duration::from_millis(500);

/// The reason of a cancellation.
const REASON: &str = "cancelled by an administrator, with others";

/// What a portion did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Portion {
    /// Jobs were looked at, and more may follow.
    More {
        /// Jobs changed and refused since the start.
        done: i64,
        /// Share of the work, 0 to 1; None if the total is not known.
        progress: Option<f64>,
    },
    /// No job is left, or the operation was stopped or deleted.
    Last,
}

#[derive(sqlx::FromRow)]
struct Open {
    job_id: Uuid,
    action: String,
    filter: Value,
    subjects: Option<Vec<Uuid>>,
    priority: Option<i16>,
    position: Uuid,
    total: i64,
    total_is_capped: bool,
    changed: i64,
    refused: i64,
}

/// Works through the next portion. Its changes and its position commit together, so a portion that is repeated
/// after a crash or an unanswered COMMIT starts after the last one that was committed.
pub(crate) async fn work_portion(
    ctx: &Context,
    registry: &Registry<Context>,
    operation_id: Uuid,
) -> Result<Portion, JobError> {
    let mut tx = ctx.pool.begin().await?;
    let open: Option<Open> = sqlx::query_as(
        "-- portion::lock
         SELECT job_id, action, filter, subjects, priority, position, total, total_is_capped, changed, refused
           FROM bulk_operations WHERE id = $1 AND ended_at IS NULL FOR UPDATE",
    )
    .bind(operation_id)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(mut open) = open else { return Ok(Portion::Last) };
    let filter = Selection::join(open.filter.take(), open.subjects.take())
        .map_err(|error| JobError::fatal("undecodable", format!("the operation's filter: {error}")))?;
    let step = walk(&mut tx, &filter, open.position, open.job_id, JOBS).await?;
    let Some(mut position) = step.position else { return Ok(Portion::Last) };
    let Applied { changed, looked_at } =
        apply(&mut tx, ctx, registry, &open, filter.state, &step.jobs).await?;
    if looked_at < step.jobs.len() {
        // It ended early, after one job at least.
        position = step.jobs[looked_at - 1].id;
    }
    let refused = i64::try_from(looked_at).unwrap_or(i64::MAX) - changed;
    sqlx::query(
        "-- portion::advance
         UPDATE bulk_operations SET position = $2, changed = changed + $3, refused = refused + $4 WHERE id = $1",
    )
    .bind(operation_id)
    .bind(position)
    .bind(changed)
    .bind(refused)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let done = open.changed + open.refused + changed + refused;
    Ok(Portion::More { done, progress: share(done, open.total, open.total_is_capped) })
}

#[expect(clippy::cast_precision_loss, reason = "a share of at most ten thousand jobs")]
fn share(done: i64, total: i64, is_capped: bool) -> Option<f64> {
    (!is_capped && total > 0).then(|| (done as f64 / total as f64).min(1.0))
}

/// How far a portion came.
struct Applied {
    changed: i64,
    /// Jobs changed or refused.
    looked_at: usize,
}

async fn apply(
    tx: &mut PgConnection,
    ctx: &Context,
    registry: &Registry<Context>,
    open: &Open,
    state: Option<JobState>,
    jobs: &[Walked],
) -> Result<Applied, JobError> {
    let ids: Vec<Uuid> = jobs.iter().filter(|job| !is_bulk(job)).map(|job| job.id).collect();
    let at_once = |changed: Vec<Uuid>| Applied { changed: count(changed.len()), looked_at: jobs.len() };
    match (open.action.as_str(), open.priority) {
        ("delete", _) => return Ok(at_once(delete_many(tx, &ids).await?)),
        ("reprioritise", Some(priority)) => return Ok(at_once(reprioritise_many(tx, &ids, priority).await?)),
        _ => {}
    }
    let is_retry = open.action == "retry";
    let is_single = |job: &Walked| {
        is_bulk(job)
            || if is_retry {
                is_stage(&job.kind) || job.has_unique_key
            } else {
                registry.ends_with_hook(&job.kind)
            }
    };
    lock_lectures(tx, jobs.iter().filter(|job| is_stage(&job.kind))).await?;
    let begun = Instant::now();
    let (mut changed, mut looked_at) = (0, 0);
    // In order of id, in runs of jobs that one statement can change and jobs that are changed one by one.
    for run in jobs.chunk_by(|one, next| is_single(one) == is_single(next)) {
        if run.first().is_some_and(is_single) {
            for job in run {
                if looked_at > 0 && begun.elapsed() > LONGEST {
                    return Ok(Applied { changed, looked_at });
                }
                let is_changed = if is_bulk(job) {
                    false
                } else if is_retry {
                    retry_one(tx, ctx, job).await?
                } else {
                    cancel_one(tx, registry, job.id).await?
                };
                changed += i64::from(is_changed);
                looked_at += 1;
            }
        } else {
            let ids: Vec<Uuid> = run.iter().map(|job| job.id).collect();
            let done = match is_retry {
                true => retry_many(tx, &ids, state).await?,
                false => cancel_many(tx, &ids, state, REASON).await?,
            };
            changed += count(done.len());
            looked_at += run.len();
        }
    }
    Ok(Applied { changed, looked_at })
}

fn count(jobs: usize) -> i64 {
    i64::try_from(jobs).unwrap_or(i64::MAX)
}

/// In order of id, as every transaction that locks several lectures.
async fn lock_lectures(
    tx: &mut PgConnection,
    jobs: impl Iterator<Item = &Walked>,
) -> Result<(), sqlx::Error> {
    let lectures: Vec<Uuid> = jobs.filter_map(|job| job.subject).collect();
    sqlx::query("-- portion::lock_lectures\nSELECT FROM lectures WHERE id = ANY ($1) ORDER BY id FOR UPDATE")
        .bind(lectures)
        .execute(tx)
        .await?;
    Ok(())
}

/// Bulk operations are not changed by others: a retry would resume one that an operator stopped.
fn is_bulk(job: &Walked) -> bool {
    job.kind == BulkJobs::KIND
}

/// A lecture is retried through its newest stage: older ones would count it, and restart it, again.
async fn retry_one(tx: &mut PgConnection, ctx: &Context, job: &Walked) -> Result<bool, sqlx::Error> {
    if let Some(lecture_id) = job.subject.filter(|_| is_stage(&job.kind))
        && last_job::read(tx, lecture_id).await?.is_none_or(|last| last.id != job.id)
    {
        return Ok(false);
    }
    let mut one = tx.begin().await?;
    let retried = operations::retry_unrecorded(&mut one, &ctx.settings, job.id).await?;
    one.commit().await?;
    Ok(matches!(retried, JobRetried::Due(_)))
}

async fn cancel_one(
    tx: &mut PgConnection,
    registry: &Registry<Context>,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    Ok(registry.cancel(tx, id, REASON).await?.is_some())
}
