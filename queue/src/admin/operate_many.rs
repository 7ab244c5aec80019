//! Actions on many jobs at once, for portions of a bulk operation. Each locks its jobs in order of id, changes
//! those that are in a state for it, and returns their ids. No hook runs.

use sqlx::PgConnection;
use uuid::Uuid;

use super::inspect::JobState;

/// Locks the jobs in order of id. Lock the rows of their subjects before.
async fn lock(tx: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query("-- operate_many::lock\nSELECT FROM queue.jobs WHERE id = ANY ($1) ORDER BY id FOR UPDATE")
        .bind(ids)
        .execute(tx)
        .await?;
    Ok(())
}

/// Cancels the live jobs among `ids` that are still in `state`, if given; all of kinds without an `ended` hook
/// ([`Registry::ends_with_hook`](crate::Registry::ends_with_hook)). Call
/// [`Queue::announce_cancellation`](crate::Queue::announce_cancellation) after the commit.
///
/// # Errors
/// If the database is away.
pub async fn cancel_many(
    tx: &mut PgConnection,
    ids: &[Uuid],
    state: Option<JobState>,
    reason: &str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    lock(tx, ids).await?;
    sqlx::query_scalar(
        "-- operate_many::cancel
         UPDATE queue.jobs
            SET state = 'cancelled', finalized_at = now(), reason = $2, lease = NULL, worker_id = NULL
          WHERE id = ANY ($1) AND finalized_at IS NULL AND ($3::queue.job_state IS NULL OR state = $3)
         RETURNING id",
    )
    .bind(ids)
    .bind(reason)
    .bind(state)
    .fetch_all(tx)
    .await
}

/// As [`retry`](crate::retry), for the jobs without a unique key among `ids` that are still in `state`, if given. Wake the workers after the commit.
///
/// # Errors
/// If the database is away.
pub async fn retry_many(
    tx: &mut PgConnection,
    ids: &[Uuid],
    state: Option<JobState>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    lock(tx, ids).await?;
    sqlx::query_scalar(
        "-- operate_many::retry
         UPDATE queue.jobs
            SET run_at = now(), state = 'available', lease = NULL, worker_id = NULL, finalized_at = NULL, reason = NULL,
                errors = CASE WHEN state = 'available' THEN errors ELSE 0 END,
                crashes = CASE WHEN state = 'available' THEN crashes ELSE 0 END,
                give_up_at = CASE WHEN state = 'available' THEN give_up_at ELSE now() + least(give_up_after, interval '1000 years') END
          WHERE id = ANY ($1) AND unique_key IS NULL AND state IN ('available', 'discarded', 'cancelled')
            AND ($2::queue.job_state IS NULL OR state = $2)
         RETURNING id",
    )
    .bind(ids)
    .bind(state)
    .fetch_all(tx)
    .await
}

/// Changes the priority of the waiting jobs among `ids` that have another, 1 (first) to 4 (last).
///
/// # Errors
/// If the database is away.
pub async fn reprioritise_many(
    tx: &mut PgConnection,
    ids: &[Uuid],
    priority: i16,
) -> Result<Vec<Uuid>, sqlx::Error> {
    lock(tx, ids).await?;
    sqlx::query_scalar(
        "-- operate_many::reprioritise
         UPDATE queue.jobs SET priority = $2
          WHERE id = ANY ($1) AND state = 'available' AND priority <> $2
         RETURNING id",
    )
    .bind(ids)
    .bind(priority.clamp(1, 4))
    .fetch_all(tx)
    .await
}

/// Deletes the ended jobs among `ids`, with their history.
///
/// # Errors
/// If the database is away.
pub async fn delete_many(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    lock(tx, ids).await?;
    sqlx::query_scalar(
        "-- operate_many::delete
         DELETE FROM queue.jobs WHERE id = ANY ($1) AND finalized_at IS NOT NULL RETURNING id",
    )
    .bind(ids)
    .fetch_all(tx)
    .await
}
