//! What a person or a deletion does to jobs: cancel, retry, pull forward.

use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use crate::enqueue::enqueue;
use crate::registry::Registry;

/// What asking for another try did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// The job is due now: a waiting one was pulled forward, a discarded or cancelled one got fresh budgets.
    Now,
    /// It is running or completed, or another live job has its unique key.
    Refused,
    /// There is no such job.
    NotFound,
}

impl<C: Clone + Send + Sync + 'static> Registry<C> {
    /// Cancels a live job and runs its kind's `ended` hook in the same transaction. None where there is no live job with
    /// this id. Call [`Queue::announce_cancellation`](crate::Queue::announce_cancellation) after the commit.
    ///
    /// # Errors
    /// The database's.
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
        // The hook locks the caller's row, so it goes first; a job that ended meanwhile takes the hook's work back.
        let mut attempt = tx.begin().await?;
        let follow_ups = self.ended(&kind, subject, reason, &mut attempt).await?;
        let cancelled = sqlx::query(
            "-- operate::cancel
             UPDATE queue.jobs
                SET state = 'cancelled', finalized_at = now(), reason = $2, lease = NULL, worker_id = NULL
              WHERE id = $1 AND state IN ('available', 'running')",
        )
        .bind(job_id)
        .bind(reason)
        .execute(&mut *attempt)
        .await?;
        if cancelled.rows_affected() == 0 {
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

/// Cancels all live jobs of a subject that is being deleted; no hook runs. Returns how many. Call
/// [`Queue::announce_cancellation`](crate::Queue::announce_cancellation) after the commit.
///
/// # Errors
/// The database's.
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

/// Makes a waiting job due now; gives a discarded or cancelled one fresh budgets and as much time as it first had. Wake
/// the workers after the commit.
///
/// # Errors
/// The database's.
pub async fn retry(tx: &mut PgConnection, job_id: Uuid) -> Result<Retried, sqlx::Error> {
    let mut attempt = tx.begin().await?;
    let done = sqlx::query(
        "-- operate::retry
         UPDATE queue.jobs AS job
            SET run_at = now(), state = 'available', lease = NULL, worker_id = NULL, finalized_at = NULL, reason = NULL,
                errors = CASE WHEN state = 'available' THEN errors ELSE 0 END,
                crashes = CASE WHEN state = 'available' THEN crashes ELSE 0 END,
                give_up_at = CASE WHEN state = 'available' THEN give_up_at ELSE now() + give_up_after END
          WHERE id = $1
            AND state IN ('available', 'discarded', 'cancelled')
            AND NOT EXISTS (SELECT FROM queue.jobs AS other
                             WHERE other.unique_key = job.unique_key AND other.id <> job.id
                               AND other.state IN ('available', 'running'))",
    )
    .bind(job_id)
    .execute(&mut *attempt)
    .await;
    let done = match done {
        // Another job took the unique key between the look and the update.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            attempt.rollback().await?;
            return Ok(Retried::Refused);
        }
        done => done?,
    };
    attempt.commit().await?;
    if done.rows_affected() == 1 {
        return Ok(Retried::Now);
    }
    let exists = sqlx::query("-- operate::exists\nSELECT FROM queue.jobs WHERE id = $1")
        .bind(job_id)
        .fetch_optional(tx)
        .await?;
    Ok(if exists.is_some() { Retried::Refused } else { Retried::NotFound })
}

/// Makes the waiting job of a subject due now. False where none waits.
///
/// # Errors
/// The database's.
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

/// Gives an available job another group, or none: what it leans on has changed. A running attempt keeps the one it was claimed
/// with. Returns whether the group is a new one.
///
/// # Errors
/// The database's.
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
