//! Cancel, retry, pull forward, regroup.

use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use crate::enqueue::insert::enqueue;
use crate::worker::registry::Registry;

/// The result of a retry by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// The job is due now: a waiting job was pulled forward; a discarded or cancelled job got fresh budgets.
    Now,
    /// It is running or completed, or another live job has its unique key.
    Refused,
    /// There is no such job.
    NotFound,
}

impl<C: Clone + Send + Sync + 'static> Registry<C> {
    /// Cancels a live job and runs its kind's `ended` hook in the same transaction. None if no live job has
    /// this id. Call [`Queue::announce_cancellation`](crate::Queue::announce_cancellation) after the commit.
    ///
    /// # Errors
    /// If the database is away or the hook fails.
    pub async fn cancel(
        &self,
        tx: &mut PgConnection,
        job_id: Uuid,
        reason: &str,
    ) -> Result<Option<Uuid>, sqlx::Error> {
        let live: Option<(String, Option<Uuid>)> = sqlx::query_as(
            "-- operate::read_live
             SELECT kind, subject FROM queue.jobs WHERE id = $1 AND state IN ('available', 'running')",
        )
        .bind(job_id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some((kind, subject)) = live else { return Ok(None) };
        // The hook locks the caller's row, so it runs first. If the job ended meanwhile, its work is rolled
        // back.
        let mut attempt = tx.begin().await?;
        let follow_ups = self.ended(&kind, subject, reason, &mut attempt).await?;
        let is_cancelled: bool = sqlx::query_scalar("-- operate::cancel\nSELECT queue.cancel($1, $2)")
            .bind(job_id)
            .bind(reason)
            .fetch_one(&mut *attempt)
            .await?;
        if !is_cancelled {
            attempt.rollback().await?;
            return Ok(None);
        }
        for job in &follow_ups {
            enqueue(&mut attempt, job).await?;
        }
        attempt.commit().await?;
        Ok(Some(job_id))
    }
}

/// Cancels all live jobs of a subject that is being deleted; no hook runs. Returns their number. Call
/// [`Queue::announce_cancellation`](crate::Queue::announce_cancellation) after the commit.
///
/// # Errors
/// If the database is away. In a REPEATABLE READ or SERIALIZABLE transaction also with SQLSTATE 40001, where a job was
/// claimed or otherwise changed since the snapshot: run the transaction again.
pub async fn cancel_subject(tx: &mut PgConnection, subject: Uuid, reason: &str) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "-- operate::cancel_subject
         UPDATE queue.jobs
                SET state = 'cancelled', finalized_at = now(), reason = $2, lease = NULL, worker_id = NULL
          WHERE id IN (SELECT id FROM queue.jobs
                        WHERE subject = $1 AND state IN ('available', 'running')
                        ORDER BY id FOR UPDATE)",
    )
    .bind(subject)
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Makes a waiting job due now. A discarded or cancelled job gets fresh budgets and its full time again. Wake
/// the workers after the commit.
///
/// # Errors
/// If the database is away.
pub async fn retry(tx: &mut PgConnection, job_id: Uuid) -> Result<Retried, sqlx::Error> {
    let answer: String =
        sqlx::query_scalar("-- operate::retry\nSELECT queue.retry($1)").bind(job_id).fetch_one(tx).await?;
    Ok(match answer.as_str() {
        "now" => Retried::Now,
        "refused" => Retried::Refused,
        _ => Retried::NotFound,
    })
}

/// Makes the waiting job of a subject due now. False if none waits.
///
/// # Errors
/// If the database is away.
pub async fn pull_forward(tx: &mut PgConnection, subject: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "-- operate::pull_forward
         UPDATE queue.jobs SET run_at = now()
          WHERE id IN (SELECT id FROM queue.jobs
                        WHERE subject = $1 AND state = 'available' AND run_at > now()
                        ORDER BY id FOR UPDATE)",
    )
    .bind(subject)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Changes or removes an available job's group, when its upstream has changed. A running attempt keeps its
/// group. True if the group changed.
///
/// # Errors
/// If the database is away.
pub async fn regroup(
    tx: &mut PgConnection,
    job_id: Uuid,
    group_key: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "-- operate::regroup
         UPDATE queue.jobs SET group_key = $2
          WHERE id = $1 AND state = 'available' AND group_key IS DISTINCT FROM $2",
    )
    .bind(job_id)
    .bind(group_key)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}
