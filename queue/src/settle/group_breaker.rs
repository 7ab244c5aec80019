//! The circuit breaker of a group: what attempts write to it.
//!
//! `claim::open_groups` says what an open breaker means for claims. A probe is an ordinary attempt claimed after `probe_at`,
//! so it ends with its lease. Failures of attempts that were running when the breaker opened are no probes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::policy::backoff::MAX_PAUSE;
use crate::policy::breaker::Breaker;

/// Is the group's breaker open? Takes no lock: the caller's row is locked first.
pub(super) async fn is_open(tx: &mut PgConnection, group: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- breaker::is_open
         SELECT EXISTS (SELECT FROM queue.breakers WHERE group_key = $1 AND opened_at IS NOT NULL)",
    )
    .bind(group)
    .fetch_one(tx)
    .await
}

/// The group answered: removes its breaker. True if it was open, so jobs were waiting.
pub(super) async fn clear(tx: &mut PgConnection, group: &str) -> Result<bool, sqlx::Error> {
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
pub(super) struct GroupFailure<'a> {
    pub(super) group: &'a str,
    pub(super) class: &'a str,
    pub(super) message: &'a str,
    /// When the attempt was claimed, by the database's clock.
    pub(super) claimed_at: DateTime<Utc>,
}

/// Counts the failure. Opens the breaker at its limit, and postpones the next probe if this was one. It must be the last lock
/// of its transaction: all attempts of the group write this row.
pub(super) async fn record_failure(
    tx: &mut PgConnection,
    failure: &GroupFailure<'_>,
    breaker: &Breaker,
) -> Result<(), sqlx::Error> {
    // No row: the breaker is open and the attempt was no probe.
    let counted: Option<(i32, i32, bool)> =
        sqlx::query_as(include_str!("../../sql/record_group_failure.sql"))
            .bind(failure.group)
            .bind(failure.class)
            .bind(failure.message)
            .bind(failure.claimed_at)
            .fetch_optional(&mut *tx)
            .await?;
    match counted {
        Some((_, probes, true)) => schedule_probe(tx, failure.group, breaker, probes).await,
        Some((failures, _, false)) if failures.unsigned_abs() >= breaker.failures => {
            tracing::warn!(group = failure.group, failures, "the group is down: its jobs wait");
            schedule_probe(tx, failure.group, breaker, 0).await
        }
        _ => Ok(()),
    }
}

/// Starts the pause before the next probe; each failed probe makes it longer.
async fn schedule_probe(
    tx: &mut PgConnection,
    group: &str,
    breaker: &Breaker,
    probes: i32,
) -> Result<(), sqlx::Error> {
    let pause: Duration = breaker.pause.delay(probes.saturating_add(1), rand::random()).min(MAX_PAUSE);
    sqlx::query(
        "-- breaker::schedule_probe
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
