//! The circuit breaker of a group: what attempts tell of it, and what people and prune see.
//!
//! What an open one means for the claim stands in `down`. A probe is nothing special: it is what was claimed once `probe_at`
//! had come, so it ends with its lease like any other attempt, and failures of attempts that were under way when the breaker
//! opened are no probe's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use crate::job::Backoff;
use crate::settle::LONGEST_PAUSE;

/// When the thing behind a `group_key` counts as down, and how often it is asked for meanwhile.
///
/// Attempts tell by their errors: [`JobError::blames_group`](crate::JobError::blames_group) counts, a success or [`JobError::clears_group`](crate::JobError::clears_group) closes. An open
/// breaker lets one probe at a time through, an ordinary attempt of a waiting job; the probe ends with its lease. Attempts that
/// blame an open group spend nothing, and all waiting ends at `give_up_at`: the job is discarded as `group-down` and not run.
///
/// The kinds of a group share its breaker, so each of them should have one: a kind without neither waits nor tells, and
/// while one of its jobs runs in the group no probe goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// Failures that blamed the group, one after another, which open it. A success or ten quiet minutes start the count
    /// again. At least 1.
    pub failures: u32,
    /// Time until the next probe: the first from the opening on, each further one from the end of the failed probe before.
    pub pause: Backoff,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, pause: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(300) } }
    }
}

/// Most rows that [`breakers`] returns.
pub const BREAKERS_LIMIT: i64 = 1000;

/// A group in trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct BreakerView {
    /// The `group_key` of its jobs.
    pub group_key: String,
    /// Since when its jobs wait. None while its failures are only counted.
    pub opened_at: Option<DateTime<Utc>>,
    /// Failures that blamed it, one after another, until it opened.
    pub failures: i32,
    /// The latest failure that blamed it.
    pub failed_at: DateTime<Utc>,
    /// When the next probe may go; in the past where it has gone or no job waits. None where the breaker is not open.
    pub probe_at: Option<DateTime<Utc>>,
    /// Probes that failed.
    pub probes: i32,
    /// Class of the latest failure.
    pub class: String,
    /// What the latest failure said; holds no secret.
    pub message: String,
}

/// The groups whose breaker is open or counts, those that opened first in front; at most [`BREAKERS_LIMIT`].
///
/// # Errors
/// The database's.
pub async fn breakers(connection: &mut PgConnection) -> Result<Vec<BreakerView>, sqlx::Error> {
    sqlx::query_as(
        "-- breaker::breakers
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

/// Does the group's breaker keep its jobs waiting? Locks nothing: the caller's row comes first.
pub(crate) async fn is_open(tx: &mut PgConnection, group: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- breaker::is_open
         SELECT EXISTS (SELECT FROM queue.breakers WHERE group_key = $1 AND opened_at IS NOT NULL)",
    )
    .bind(group)
    .fetch_one(tx)
    .await
}

/// The group answered: its breaker goes. True where it was open, so that jobs have waited for this.
pub(crate) async fn clear(tx: &mut PgConnection, group: &str) -> Result<bool, sqlx::Error> {
    let was_open: Option<bool> = sqlx::query_scalar(
        "-- breaker::clear
         DELETE FROM queue.breakers WHERE group_key = $1 RETURNING opened_at IS NOT NULL",
    )
    .bind(group)
    .fetch_optional(tx)
    .await?;
    Ok(was_open == Some(true))
}

/// A failure that blames its group.
#[derive(Debug)]
pub(crate) struct Blame<'a> {
    pub(crate) group: &'a str,
    pub(crate) class: &'a str,
    pub(crate) message: &'a str,
    /// When the attempt was claimed, by the database's clock.
    pub(crate) claimed_at: DateTime<Utc>,
}

/// Counts the failure; opens the breaker where it was one too many, and puts the next probe off where it was a probe. It is
/// the last lock its transaction takes: all attempts of the group want this row.
pub(crate) async fn blame(
    tx: &mut PgConnection,
    blame: &Blame<'_>,
    breaker: &Breaker,
) -> Result<(), sqlx::Error> {
    // No row comes back where it is open and the attempt was no probe.
    let counted: Option<(i32, i32, bool)> = sqlx::query_as(
        "-- breaker::blame
         INSERT INTO queue.breakers AS breaker (group_key, failures, failed_at, class, message)
         VALUES ($1, 1, now(), $2, $3)
         ON CONFLICT (group_key) DO UPDATE
            SET failures = CASE WHEN breaker.opened_at IS NOT NULL THEN breaker.failures
                                WHEN breaker.failed_at < now() - interval '10 minutes' THEN 1
                                ELSE breaker.failures + 1 END,
                probes = breaker.probes + CASE WHEN breaker.opened_at IS NULL THEN 0 ELSE 1 END,
                failed_at = now(), class = excluded.class, message = excluded.message
          WHERE breaker.opened_at IS NULL OR breaker.probe_at <= $4
         RETURNING failures, probes, opened_at IS NOT NULL",
    )
    .bind(blame.group)
    .bind(blame.class)
    .bind(blame.message)
    .bind(blame.claimed_at)
    .fetch_optional(&mut *tx)
    .await?;
    match counted {
        Some((_, probes, true)) => pause(tx, blame.group, breaker, probes).await,
        Some((failures, _, false)) if failures.unsigned_abs() >= breaker.failures => {
            tracing::warn!(group = blame.group, failures, "the group is down: its jobs wait");
            pause(tx, blame.group, breaker, 0).await
        }
        _ => Ok(()),
    }
}

/// From now on the next pause runs; each failed probe before it made it longer.
async fn pause(
    tx: &mut PgConnection,
    group: &str,
    breaker: &Breaker,
    probes: i32,
) -> Result<(), sqlx::Error> {
    let pause: Duration = breaker.pause.delay(probes.saturating_add(1), rand::random()).min(LONGEST_PAUSE);
    sqlx::query(
        "-- breaker::pause
         UPDATE queue.breakers
            SET opened_at = COALESCE(opened_at, now()), probe_at = now() + make_interval(secs => $2)
          WHERE group_key = $1",
    )
    .bind(group)
    .bind(pause.as_secs_f64())
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes breakers of groups that nobody asked for a day and for which no job waits or runs, at most `most`.
pub(crate) async fn forget(pool: &PgPool, most: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- breaker::forget
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
    .bind(most)
    .execute(pool)
    .await?;
    Ok(())
}
