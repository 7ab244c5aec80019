//! Breakers of groups, for operators.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use crate::column::{OptionalTime, Timestamp};

/// Most rows that [`breakers`] returns.
pub const BREAKERS_LIMIT: i64 = 1000;

/// A group with failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct BreakerView {
    /// The `group_key` of its jobs.
    pub group_key: String,
    /// When its breaker opened; its jobs wait since then. None while failures are only counted.
    #[sqlx(try_from = "OptionalTime")]
    pub opened_at: Option<DateTime<Utc>>,
    /// Consecutive failures until it opened.
    pub failures: i32,
    /// Time of the latest failure.
    #[sqlx(try_from = "Timestamp")]
    pub failed_at: DateTime<Utc>,
    /// When the next probe may start; in the past if it has started or no job waits. None if the breaker is
    /// closed.
    #[sqlx(try_from = "OptionalTime")]
    pub probe_at: Option<DateTime<Utc>>,
    /// Failed probes.
    pub probes: i32,
    /// Class of the latest failure.
    pub class: String,
    /// Message of the latest failure; holds no secret.
    pub message: String,
}

/// The groups whose breaker is open or counting, the longest open first; at most [`BREAKERS_LIMIT`].
///
/// # Errors
/// If the database is away.
pub async fn breakers(connection: &mut PgConnection) -> Result<Vec<BreakerView>, sqlx::Error> {
    sqlx::query_as(
        "-- breakers::list
         SELECT group_key::text, opened_at, failures, failed_at, probe_at, probes, class, message
           FROM queue.breakers
          WHERE opened_at IS NOT NULL OR failed_at >= now() - interval '10 minutes'
          ORDER BY opened_at, group_key
          LIMIT $1",
    )
    .bind(BREAKERS_LIMIT)
    .fetch_all(connection)
    .await
}

/// Deletes at most `limit` breakers whose group had no failure for a day and has no live job.
pub(super) async fn delete_old(pool: &PgPool, limit: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- breakers::delete_old
         DELETE FROM queue.breakers
          WHERE group_key = ANY (ARRAY(
                SELECT group_key FROM queue.breakers AS breaker
                 WHERE failed_at < now() - interval '1 day'
                   AND NOT EXISTS (SELECT FROM queue.jobs AS job
                                    WHERE job.group_key = breaker.group_key AND job.group_key IS NOT NULL
                                      AND job.state = 'available')
                   AND NOT EXISTS (SELECT FROM queue.jobs AS job
                                    WHERE job.group_key = breaker.group_key AND job.group_key IS NOT NULL
                                      AND job.state = 'running')
                 ORDER BY failed_at
                 LIMIT $1
                   FOR UPDATE SKIP LOCKED))",
    )
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(())
}
