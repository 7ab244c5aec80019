//! Retention: final jobs are deleted in small batches, completed ones first.

use std::time::Duration;

use sqlx::PgPool;

use super::breakers::delete_old;

/// How long final jobs are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Completed jobs.
    pub completed: Duration,
    /// Discarded and cancelled jobs, with their history.
    pub discarded: Duration,
    /// Rows per statement.
    pub batch: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            completed: Duration::from_secs(7 * 24 * 3600),
            discarded: Duration::from_secs(30 * 24 * 3600),
            batch: 500,
        }
    }
}

/// Deletes one batch each of completed, discarded and cancelled jobs past their `retention`. Returns the number of jobs; call it
/// again for more. It skips locked rows, so it waits for no lock and blocks neither claims nor another prune. It also deletes
/// breakers a day after their group's last failure if the group has no live job; these are not counted.
///
/// # Errors
/// If the database is away.
pub async fn prune(pool: &PgPool, retention: &Retention) -> Result<u64, sqlx::Error> {
    let mut pruned = 0;
    for (state, keep) in [
        ("completed", retention.completed),
        ("discarded", retention.discarded),
        ("cancelled", retention.discarded),
    ] {
        let done = sqlx::query(
            // The ids as an array: found once, with any plan.
            "-- prune
             DELETE FROM queue.jobs
              WHERE id = ANY (ARRAY(SELECT id FROM queue.jobs
                                     WHERE state = $1::queue.job_state
                                       AND finalized_at < now() - make_interval(secs => $2)
                                     ORDER BY finalized_at
                                     LIMIT $3
                                       FOR UPDATE SKIP LOCKED))",
        )
        .bind(state)
        .bind(keep.as_secs_f64())
        .bind(retention.batch)
        .execute(pool)
        .await?;
        pruned += done.rows_affected();
    }
    delete_old(pool, retention.batch).await?;
    Ok(pruned)
}
