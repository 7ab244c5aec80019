//! The fence: every write of an attempt names its lease, and zero rows is an error with a name.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{Decision, JobError};

/// Pause between two tries while the database is away.
pub(crate) const DATABASE_RETRY: Duration = Duration::from_millis(500);

/// A step that is not answered in this time is given up and asked for again: a connection whose other end is gone without
/// a word must not keep an attempt, for which the heartbeat vouches, for ever.
pub(crate) const UNANSWERED: Duration = Duration::from_secs(30);

/// How often a step is repeated that waited too long for a row or took too long: it may be in its own way.
const BUSY_TRIES: u32 = 5;

/// Repeats `step` for as long as it fails by passing trouble with the database.
pub(crate) async fn patiently<T, Step, Outcome>(
    cancellation: &CancellationToken,
    step: Step,
) -> Result<T, JobError>
where
    Step: Fn() -> Outcome + Send,
    Outcome: Future<Output = Result<T, JobError>> + Send,
{
    let mut tries = BUSY_TRIES;
    loop {
        let outcome = tokio::time::timeout(UNANSWERED, step()).await;
        match outcome.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into())) {
            Err(error) if error.decision == Decision::Busy && tries == 0 => {
                tracing::warn!(%error, "the statement does not get through; the attempt ends");
                return Err(JobError::retry(error.class, error.message));
            }
            Err(error) if matches!(error.decision, Decision::Database | Decision::Busy) => {
                tries -= u32::from(error.decision == Decision::Busy);
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

pub(crate) fn one_row(rows: u64) -> Result<(), JobError> {
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

/// An attempt that succeeded.
#[derive(Debug, Clone)]
pub(crate) struct Completed {
    pub(crate) job_id: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) result: Option<Value>,
}

/// Running -> completed. Returns how many of them still held their lease.
///
/// A job that has a lease and no end is running: two constraints of the table say so. Asking for the state itself would lead
/// the planner along the index of everything that runs.
pub(crate) async fn complete(
    connection: &mut PgConnection,
    attempts: &[Completed],
) -> Result<u64, sqlx::Error> {
    let results = attempts.iter().any(|attempt| attempt.result.is_some());
    let done = sqlx::query(
        "-- fence::complete
         UPDATE queue.jobs AS job
            SET state = 'completed', finalized_at = now(), result = done.result, reason = NULL
           FROM ROWS FROM (unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::jsonb[])) AS done (id, lease, result)
          WHERE job.id = done.id AND job.lease = done.lease AND job.finalized_at IS NULL",
    )
    .bind(attempts.iter().map(|attempt| attempt.job_id).collect::<Vec<_>>())
    .bind(attempts.iter().map(|attempt| attempt.lease).collect::<Vec<_>>())
    .bind(results.then(|| attempts.iter().map(|attempt| attempt.result.as_ref()).collect::<Vec<_>>()))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// An attempt that did not succeed, before the database says whether the job's time is over.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) job_id: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) class: String,
    pub(crate) message: String,
    /// 1 where it spends one of `max_attempts`.
    pub(crate) spent: i32,
    pub(crate) delay: Duration,
    /// True where trying again cannot help or the budget is spent.
    pub(crate) last: bool,
}

/// Running -> available after the delay, or discarded where that was the last try or the job's time is over; an attempt
/// that spent a budget or ended its job is told in the history. A delay ends at `give_up_at`, when the job gets its last
/// chance. Returns the leases that held, each with whether its job was discarded.
pub(crate) async fn fail(
    connection: &mut PgConnection,
    attempts: &[Failed],
) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    fn each<'a, T>(attempts: &'a [Failed], get: impl Fn(&'a Failed) -> T) -> Vec<T> {
        attempts.iter().map(get).collect()
    }
    sqlx::query_as(
        "-- fence::fail
         WITH told AS MATERIALIZED (
             SELECT told.*, last OR now() >= job.give_up_at AS ends, job.attempt, job.worker
               FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::integer[], $5::float8[], $6::text[], $7::text[])
                 AS told (id, lease, last, spent, delay, class, message)
               JOIN queue.jobs AS job USING (id, lease)
         ), settled AS (
             UPDATE queue.jobs AS job
                SET state = CASE WHEN ends THEN 'discarded' ELSE 'available' END::queue.job_state,
                    lease = CASE WHEN ends THEN job.lease END,
                    worker_id = CASE WHEN ends THEN worker_id END,
                    finalized_at = CASE WHEN ends THEN now() END,
                    errors = errors + spent,
                    reason = message,
                    run_at = CASE WHEN ends THEN run_at
                                  ELSE LEAST(now() + make_interval(secs => delay), GREATEST(give_up_at, now())) END
               FROM told
              WHERE job.id = told.id AND job.lease = told.lease AND job.finalized_at IS NULL
             RETURNING job.id, told.lease, ends, spent, told.attempt, told.worker, class, message
         ), history AS (
             INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
             SELECT id, attempt, worker, class, message FROM settled WHERE ends OR spent > 0
         )
         SELECT lease, ends FROM settled",
    )
    .bind(each(attempts, |failed| failed.job_id))
    .bind(each(attempts, |failed| failed.lease))
    .bind(each(attempts, |failed| failed.last))
    .bind(each(attempts, |failed| failed.spent))
    .bind(each(attempts, |failed| failed.delay.as_secs_f64()))
    .bind(each(attempts, |failed| failed.class.as_str()))
    .bind(each(attempts, |failed| failed.message.as_str()))
    .fetch_all(connection)
    .await
}

/// Running -> cancelled, by the attempt itself.
pub(crate) async fn cancel(
    tx: &mut PgConnection,
    job_id: Uuid,
    lease: Uuid,
    reason: &str,
) -> Result<(), JobError> {
    let done = sqlx::query(
        "-- fence::cancel
         UPDATE queue.jobs SET state = 'cancelled', finalized_at = now(), reason = $3
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
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
