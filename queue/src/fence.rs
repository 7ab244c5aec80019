//! The fence: every write of an attempt names its lease. Zero rows means that the lease is lost.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::time::timeout;
use uuid::Uuid;

use crate::dedicated_connection::answered;
use crate::error::JobError;

/// Longest wait for an answer on the attempts' connection; more than the server's own limits there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

pub(crate) fn one_row(rows: u64) -> Result<(), JobError> {
    if rows == 1 { Ok(()) } else { Err(JobError::lost_lease()) }
}

/// Runs a statement on the attempts' connection. Returns the number of rows.
async fn execute(pool: &PgPool, statement: Query<'_, Postgres, PgArguments>) -> Result<u64, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let answer = timeout(ANSWER_TIMEOUT, statement.execute(&mut *connection)).await;
    Ok(answered(connection, answer)?.rows_affected())
}

/// Checks that the lease still holds.
pub(crate) async fn check(pool: &PgPool, job_id: Uuid, lease: Uuid) -> Result<(), JobError> {
    let check = sqlx::query(
        "-- fence::check
         SELECT FROM queue.jobs WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease);
    one_row(execute(pool, check).await?)
}

/// Locks the lease for the rest of the transaction, so that the job cannot end before the commit.
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
    let save = sqlx::query(
        "-- fence::save_checkpoint
         UPDATE queue.jobs
            SET checkpoint = $3,
                checkpoint_advanced = checkpoint_advanced OR checkpoint IS DISTINCT FROM $3
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .bind(checkpoint);
    one_row(execute(pool, save).await?)
}

/// An attempt that succeeded.
#[derive(Debug, Clone)]
pub(crate) struct Completed {
    pub(crate) job_id: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) result: Option<Value>,
}

/// Running -> completed. Returns how many attempts still held their lease.
///
/// The statement does not ask for `state = 'running'`: the planner would walk the index of all running jobs.
/// A job with a lease and no end is running; two constraints of the table guarantee it.
pub(crate) async fn complete(
    connection: &mut PgConnection,
    attempts: &[Completed],
) -> Result<u64, sqlx::Error> {
    let results = attempts.iter().any(|attempt| attempt.result.is_some());
    let done = sqlx::query(include_str!("../sql/complete.sql"))
        .bind(attempts.iter().map(|attempt| attempt.job_id).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.lease).collect::<Vec<_>>())
        .bind(results.then(|| attempts.iter().map(|attempt| attempt.result.as_ref()).collect::<Vec<_>>()))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Of these jobs and leases, locks the rows that no other transaction has locked. Returns their leases.
pub(crate) async fn lock_free(
    tx: &mut PgConnection,
    ids: impl Iterator<Item = (Uuid, Uuid)>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    leases(tx, include_str!("../sql/lock_free.sql"), ids).await
}

/// Of these jobs and leases, the leases that still hold.
pub(crate) async fn held(
    connection: &mut PgConnection,
    ids: impl Iterator<Item = (Uuid, Uuid)>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    leases(connection, include_str!("../sql/held.sql"), ids).await
}

/// Of these jobs and leases, the leases under which the job ended.
pub(crate) async fn ended(
    connection: &mut PgConnection,
    ids: impl Iterator<Item = (Uuid, Uuid)>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    leases(connection, include_str!("../sql/ended.sql"), ids).await
}

async fn leases(
    connection: &mut PgConnection,
    statement: &'static str,
    ids: impl Iterator<Item = (Uuid, Uuid)>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let (jobs, leases): (Vec<Uuid>, Vec<Uuid>) = ids.unzip();
    let found: Vec<Uuid> =
        sqlx::query_scalar(statement).bind(jobs).bind(leases).fetch_all(connection).await?;
    Ok(found.into_iter().collect())
}

/// An attempt that failed. The database decides whether the job's time is up.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) job_id: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) class: String,
    pub(crate) message: String,
    /// 1 if it spends one of `max_attempts`, else 0.
    pub(crate) spent: i32,
    pub(crate) delay: Duration,
    /// True if a retry cannot help or the budget is spent.
    pub(crate) last: bool,
}

/// Running -> available after the delay, or discarded if that was the last try or the job's time is up.
/// Attempts that spend a budget or end their job get a row in the history. A delay ends at `give_up_at`, when
/// the job gets its last chance. Returns the leases that held, each with whether its job was discarded.
pub(crate) async fn fail(
    connection: &mut PgConnection,
    attempts: &[Failed],
) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    fn each<'a, T>(attempts: &'a [Failed], get: impl Fn(&'a Failed) -> T) -> Vec<T> {
        attempts.iter().map(get).collect()
    }
    sqlx::query_as(include_str!("../sql/fail.sql"))
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

/// Running -> available; spends no budget. The job keeps its `run_at`, and so its place before what became due later.
pub(crate) async fn release(pool: &PgPool, job_id: Uuid, lease: Uuid) -> Result<(), JobError> {
    let release = sqlx::query(
        "-- fence::release
         UPDATE queue.jobs
            SET state = 'available', lease = NULL, worker_id = NULL, alone = false, run_at = least(run_at, now())
          WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease);
    one_row(execute(pool, release).await?)
}

/// Notes that the attempt has its process to itself, so that a crash counts.
pub(crate) async fn isolate(pool: &PgPool, job_id: Uuid, lease: Uuid) -> Result<(), JobError> {
    let isolate = sqlx::query(
        "-- fence::isolate
         UPDATE queue.jobs SET alone = true WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease);
    one_row(execute(pool, isolate).await?)
}

/// Writes an attempt that could not be ended into the history: its row was locked, or refused every change.
pub(crate) async fn note_unwritten(
    pool: &PgPool,
    job_id: Uuid,
    attempt: i32,
    worker: &str,
    error: &JobError,
) -> Result<(), JobError> {
    let note = sqlx::query(
        "-- fence::note_unwritten
         INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING",
    )
    .bind(job_id)
    .bind(attempt)
    .bind(worker)
    .bind(error.class().to_owned())
    .bind(format!("the attempt could not be ended: {error}"));
    execute(pool, note).await?;
    Ok(())
}

/// What a COMMIT did whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    /// The job still runs under this lease.
    NotCommitted,
    /// The job ended under this lease.
    Committed,
    /// The job has another lease, no lease or no row.
    LeaseLost,
}

/// Reads what an unanswered COMMIT did. A row that an attempt ended keeps its lease; one that a person
/// cancelled has none.
pub(crate) async fn commit_outcome(
    pool: &PgPool,
    job_id: Uuid,
    lease: Uuid,
) -> Result<CommitOutcome, JobError> {
    let mut connection = pool.acquire().await?;
    let read = sqlx::query_as(
        "-- fence::commit_outcome
         SELECT lease IS NOT DISTINCT FROM $2, state = 'running' FROM queue.jobs WHERE id = $1",
    )
    .bind(job_id)
    .bind(lease)
    .fetch_optional(&mut *connection);
    let answer = timeout(ANSWER_TIMEOUT, read).await;
    let row: Option<(bool, bool)> = answered(connection, answer)?;
    Ok(match row {
        Some((true, true)) => CommitOutcome::NotCommitted,
        Some((true, false)) => CommitOutcome::Committed,
        _ => CommitOutcome::LeaseLost,
    })
}

/// Has the job passed its `give_up_at`, by the database's clock?
pub(crate) async fn is_time_up(tx: &mut PgConnection, job_id: Uuid, lease: Uuid) -> Result<bool, JobError> {
    let is_up: Option<bool> = sqlx::query_scalar(
        "-- fence::is_time_up
         SELECT now() >= give_up_at FROM queue.jobs WHERE id = $1 AND lease = $2 AND state = 'running'",
    )
    .bind(job_id)
    .bind(lease)
    .fetch_optional(tx)
    .await?;
    is_up.ok_or_else(JobError::lost_lease)
}
