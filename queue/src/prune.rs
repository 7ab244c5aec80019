//! Retention: final jobs go in small batches, completed ones sooner than the rest.

use std::time::Duration;

use sqlx::PgPool;

use crate::breaker::forget;

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

/// Deletes one batch each of completed, discarded and cancelled jobs that are older than `retention` keeps them. Returns how
/// many went; call it again for more. It waits for nobody, and neither a claim nor another prune waits for it: rows that
/// somebody holds are left to a later call. What was noted of a group in trouble goes too, a day after its last failure, where
/// no job of it is left to wait; it is not counted.
///
/// # Errors
/// The database's.
pub async fn prune(pool: &PgPool, retention: &Retention) -> Result<u64, sqlx::Error> {
    let mut pruned = 0;
    for (state, keep) in [
        ("completed", retention.completed),
        ("discarded", retention.discarded),
        ("cancelled", retention.discarded),
    ] {
        let done = sqlx::query(
            // The ids as an array: found once, whatever the plan.
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
    forget(pool, retention.batch).await?;
    Ok(pruned)
}
