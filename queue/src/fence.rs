//! The fence: every write of an attempt names its lease, and zero rows is an error with a name.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{Decision, JobError};

/// Pause between two tries while the database is away.
const DATABASE_RETRY: Duration = Duration::from_millis(500);

/// A step that is not answered in this time is given up and asked for again: a connection whose other end is gone without
/// a word must not keep an attempt, for which the heartbeat vouches, for ever.
const UNANSWERED: Duration = Duration::from_secs(30);

/// Repeats `step` for as long as it fails by passing trouble with the database.
pub(crate) async fn patiently<T, Step, Outcome>(
    cancellation: &CancellationToken,
    step: Step,
) -> Result<T, JobError>
where
    Step: Fn() -> Outcome + Send,
    Outcome: Future<Output = Result<T, JobError>> + Send,
{
    loop {
        let outcome = tokio::time::timeout(UNANSWERED, step()).await;
        match outcome.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into())) {
            Err(error) if error.decision == Decision::Database => {
                tracing::warn!(%error, "database away; the attempt waits");
                tokio::select! {
                    () = cancellation.cancelled() => return Err(JobError::lost_lease()),
                    () = tokio::time::sleep(DATABASE_RETRY) => {}
                }
            }
            other => return other,
        }
    }
}

fn one_row(rows: u64) -> Result<(), JobError> {
    if rows == 1 { Ok(()) } else { Err(JobError::lost_lease()) }
}

/// Does the lease still hold?
pub(crate) async fn check(pool: &PgPool, job_id: Uuid, lease: Uuid) -> Result<(), JobError> {
    let row = sqlx::query(
        "-- fence::check
         SELECT FROM queue.jobs WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .fetch_optional(pool)
    .await?;
    one_row(row.map_or(0, |_| 1))
}

/// Holds the lease for the rest of the transaction, so that nobody ends the job between this and the commit.
pub(crate) async fn hold(tx: &mut PgConnection, job_id: Uuid, lease: Uuid) -> Result<(), JobError> {
    let row = sqlx::query(
        "-- fence::hold
         SELECT FROM queue.jobs WHERE id = $1 AND lease = $2 AND state = 'running' FOR SHARE",
    )
    .bind(job_id)
    .bind(lease)
    .fetch_optional(tx)
    .await?;
    one_row(row.map_or(0, |_| 1))
}

pub(crate) async fn save_checkpoint(
    pool: &PgPool,
    job_id: Uuid,
    lease: Uuid,
    checkpoint: &Value,
) -> Result<(), JobError> {
    let done = sqlx::query(
        "-- fence::save_checkpoint
         UPDATE queue.jobs
            SET checkpoint = $3,
                checkpoint_advanced = checkpoint_advanced OR checkpoint IS DISTINCT FROM $3
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .bind(checkpoint)
    .execute(pool)
    .await?;
    one_row(done.rows_affected())
}

/// Running -> completed.
pub(crate) async fn complete(
    tx: &mut PgConnection,
    job_id: Uuid,
    lease: Uuid,
    result: Option<&Value>,
) -> Result<(), JobError> {
    let done = sqlx::query(
        "-- fence::complete
         UPDATE queue.jobs
            SET state = 'completed', finalized_at = now(), result = $3, reason = NULL
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .bind(result)
    .execute(tx)
    .await?;
    one_row(done.rows_affected())
}

/// Running -> discarded or cancelled.
pub(crate) async fn end(
    tx: &mut PgConnection,
    job_id: Uuid,
    lease: Uuid,
    cancelled: bool,
    errors: i32,
    reason: &str,
) -> Result<(), JobError> {
    let done = sqlx::query(
        "-- fence::end
         UPDATE queue.jobs
            SET state = CASE WHEN $3 THEN 'cancelled' ELSE 'discarded' END::queue.job_state,
                finalized_at = now(), errors = errors + $4, reason = $5
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .bind(cancelled)
    .bind(errors)
    .bind(reason)
    .execute(tx)
    .await?;
    one_row(done.rows_affected())
}

/// Running -> available after `delay`, but not later than `give_up_at`, when it gets its last chance.
pub(crate) async fn put_back(
    tx: &mut PgConnection,
    job_id: Uuid,
    lease: Uuid,
    errors: i32,
    delay: Duration,
    reason: &str,
) -> Result<(), JobError> {
    let done = sqlx::query(
        "-- fence::put_back
         UPDATE queue.jobs
            SET state = 'available', lease = NULL, worker_id = NULL, errors = errors + $3, reason = $5,
                run_at = LEAST(now() + make_interval(secs => $4), GREATEST(give_up_at, now()))
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .bind(errors)
    .bind(delay.as_secs_f64())
    .bind(reason)
    .execute(tx)
    .await?;
    one_row(done.rows_affected())
}

/// Running -> available at once, no budget spent.
pub(crate) async fn release(pool: &PgPool, job_id: Uuid, lease: Uuid) -> Result<(), JobError> {
    let done = sqlx::query(
        "-- fence::release
         UPDATE queue.jobs
            SET state = 'available', lease = NULL, worker_id = NULL, run_at = now()
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .execute(pool)
    .await?;
    one_row(done.rows_affected())
}

/// Adds the failed attempt to the job's history.
pub(crate) async fn record_failed_attempt(
    tx: &mut PgConnection,
    job_id: Uuid,
    attempt: i32,
    worker: &str,
    class: &str,
    message: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- fence::record_failed_attempt
         INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(job_id)
    .bind(attempt)
    .bind(worker)
    .bind(class)
    .bind(message)
    .execute(tx)
    .await?;
    Ok(())
}

/// What became of an attempt whose COMMIT was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Still running under this lease: the transaction was not committed.
    Undecided,
    /// Final under this lease: the transaction was committed.
    Settled,
    /// Another lease, no lease or no row.
    Lost,
}

/// Reads the fate of an attempt after an unknown outcome. A row that an attempt brought to its end keeps its lease; one
/// that a person cancelled has none.
pub(crate) async fn fate(pool: &PgPool, job_id: Uuid, lease: Uuid) -> Result<Fate, JobError> {
    let row: Option<(bool, bool)> = sqlx::query_as(
        "-- fence::fate
         SELECT lease IS NOT DISTINCT FROM $2, state = 'running' FROM queue.jobs WHERE id = $1",
    )
    .bind(job_id)
    .bind(lease)
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        Some((true, true)) => Fate::Undecided,
        Some((true, false)) => Fate::Settled,
        _ => Fate::Lost,
    })
}

/// Has the job's time to wait and retry run out, by the database's clock?
pub(crate) async fn is_over(tx: &mut PgConnection, job_id: Uuid, lease: Uuid) -> Result<bool, JobError> {
    let over: Option<bool> = sqlx::query_scalar(
        "-- fence::is_over
         SELECT now() >= give_up_at FROM queue.jobs WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .fetch_optional(tx)
    .await?;
    over.ok_or_else(JobError::lost_lease)
}
