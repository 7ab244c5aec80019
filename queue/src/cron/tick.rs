//! One check of one schedule. The scheduler that moves `last_tick` forward enqueues the tick's job in the
//! same transaction.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use croner::Cron;
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use super::schedule::{CatchUp, Schedule};
use crate::column::Timestamp;
use crate::enqueue::insert::enqueue;
use crate::enqueue::queue::Queue;

/// A tick seen this much later counts as missed.
const MISSED_AFTER: Duration = Duration::from_secs(60);

/// A last tick further ahead than this came from a wrong clock.
const MAX_LEAD: TimeDelta = TimeDelta::hours(1);

/// What a check did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TickOutcome {
    /// No tick was due, or another scheduler took it.
    NotDue,
    /// The tick's job was enqueued.
    Enqueued,
    /// The previous run is still live, or the tick was missed and is not caught up.
    Skipped,
}

/// The latest tick in `(after, now]`.
fn latest_tick(cron: &Cron, after: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    cron.find_previous_occurrence(&now, true).ok().filter(|tick| *tick > after && *tick <= now)
}

/// Checks one schedule once.
pub(super) async fn tick(
    queue: &Queue,
    schedule: &Schedule,
    cron: &Cron,
) -> Result<TickOutcome, sqlx::Error> {
    let mut connection = queue.pool().acquire().await?;
    let (stored, now) = register(&mut connection, schedule).await?;
    let last_tick = stored.time();
    if last_tick - now > MAX_LEAD {
        if advance(&mut connection, schedule.name, stored, now).await? {
            tracing::warn!(schedule = schedule.name, %last_tick, "the clock was set back; the schedule restarts now");
        }
        return Ok(TickOutcome::NotDue);
    }
    let Some(tick) = latest_tick(cron, last_tick, now) else { return Ok(TickOutcome::NotDue) };
    let missed = (now - tick).to_std().unwrap_or_default() > MISSED_AFTER;

    let mut tx = connection.begin().await?;
    if !advance(&mut tx, schedule.name, stored, tick).await? {
        return Ok(TickOutcome::NotDue);
    }
    let done = if missed && schedule.catch_up == CatchUp::None {
        record_skipped(&mut tx, schedule.name, tick).await?;
        TickOutcome::Skipped
    } else {
        let mut job = schedule.job.clone();
        job.unique_key.get_or_insert_with(|| format!("schedule:{}", schedule.name));
        let enqueued = enqueue(&mut tx, &job).await?;
        if enqueued.created {
            record_job(&mut tx, schedule.name, enqueued.id).await?;
            TickOutcome::Enqueued
        } else {
            record_skipped(&mut tx, schedule.name, tick).await?;
            TickOutcome::Skipped
        }
    };
    tx.commit().await?;
    if done == TickOutcome::Enqueued {
        queue.wake();
    }
    Ok(done)
}

/// The schedule's last tick and the database's time. Registers a new schedule; stores a changed cron
/// expression.
async fn register(
    connection: &mut PgConnection,
    schedule: &Schedule,
) -> Result<(Timestamp, DateTime<Utc>), sqlx::Error> {
    let known = sqlx::query_as(
        "-- schedule::read
         SELECT last_tick, now() FROM queue.schedules WHERE name = $1 AND cron = $2",
    )
    .bind(schedule.name)
    .bind(&schedule.cron)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(known) = known {
        return Ok(known);
    }
    // A changed expression keeps the last tick: only the latest tick since then can be due. While two
    // versions of the program run side by side, each handles the ticks of its expression.
    sqlx::query_as(
        "-- schedule::register
         INSERT INTO queue.schedules AS s (name, cron, last_tick) VALUES ($1, $2, now())
         ON CONFLICT (name) DO UPDATE SET cron = excluded.cron
         RETURNING last_tick, now()",
    )
    .bind(schedule.name)
    .bind(&schedule.cron)
    .fetch_one(connection)
    .await
}

/// True for the one scheduler that moves the schedule to `tick`.
async fn advance(
    tx: &mut PgConnection,
    name: &str,
    from: Timestamp,
    tick: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "-- schedule::advance
         UPDATE queue.schedules SET last_tick = $3 WHERE name = $1 AND last_tick = $2",
    )
    .bind(name)
    .bind(from)
    .bind(tick)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn record_job(tx: &mut PgConnection, name: &str, job: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("-- schedule::record_job\nUPDATE queue.schedules SET last_job = $2 WHERE name = $1")
        .bind(name)
        .bind(job)
        .execute(tx)
        .await?;
    Ok(())
}

async fn record_skipped(tx: &mut PgConnection, name: &str, tick: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- schedule::record_skipped
         UPDATE queue.schedules SET skipped = skipped + 1, last_skipped = $2 WHERE name = $1",
    )
    .bind(name)
    .bind(tick)
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::cron::schedule::{ScheduleError, parse};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn cron(text: &str) -> Cron {
        parse("test", text).unwrap()
    }

    /// The ticks between two times, found as a scheduler finds them: by one check a minute.
    fn ticks(text: &str, from: &str, to: &str) -> Vec<String> {
        let (cron, mut last, mut now, to) = (cron(text), at(from), at(from), at(to));
        let mut found = Vec::new();
        while now <= to {
            if let Some(tick) = latest_tick(&cron, last, now) {
                found.push(tick.format("%F %R").to_string());
                last = tick;
            }
            now += TimeDelta::minutes(1);
        }
        found
    }

    #[test]
    fn the_latest_tick_is_after_the_last_and_not_in_the_future() {
        let hourly = cron("17 * * * *");
        let last = at("2026-11-22T10:17:00Z");
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T11:16:59Z")), None);
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T11:17:00Z")), Some(at("2026-11-22T11:17:00Z")));
        // Three ticks passed: the latest counts.
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T13:20:00Z")), Some(at("2026-11-22T13:17:00Z")));
        // The clock jumped back: nothing.
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T09:30:00Z")), None);
    }

    #[test]
    fn months_end_where_they_end_and_leap_days_come() {
        let around = |text, from, to| ticks(text, from, to);
        assert_eq!(
            around("0 3 L * *", "2027-02-27T00:00:00Z", "2027-03-02T00:00:00Z"),
            ["2027-02-28 03:00"],
            "the last day"
        );
        assert_eq!(
            around("0 3 L * *", "2028-02-27T00:00:00Z", "2028-03-02T00:00:00Z"),
            ["2028-02-29 03:00"],
            "the last day of a leap year's February"
        );
        assert_eq!(
            around("0 0 31 * *", "2027-04-29T00:00:00Z", "2027-05-02T00:00:00Z"),
            [] as [&str; 0],
            "April has no 31st, and the first of May does not stand in for it"
        );
        let leap = cron("30 12 29 2 *");
        let last = at("2024-02-29T12:30:00Z");
        assert_eq!(latest_tick(&leap, last, at("2028-02-29T12:29:59Z")), None);
        assert_eq!(latest_tick(&leap, last, at("2028-03-15T00:00:00Z")), Some(at("2028-02-29T12:30:00Z")));
        // 2100 is no leap year.
        let last = at("2096-02-29T12:30:00Z");
        assert_eq!(latest_tick(&leap, last, at("2103-12-31T00:00:00Z")), None);
        assert_eq!(latest_tick(&leap, last, at("2104-02-29T12:30:00Z")), Some(at("2104-02-29T12:30:00Z")));
    }

    #[test]
    fn a_day_and_a_weekday_mean_either() {
        // 13 November 2026 is a Friday.
        assert_eq!(
            ticks("0 6 15 * fri", "2026-11-12T00:00:00Z", "2026-11-17T00:00:00Z"),
            ["2026-11-13 06:00", "2026-11-15 06:00"]
        );
        assert_eq!(
            ticks("@daily", "2026-11-12T12:00:00Z", "2026-11-14T12:00:00Z"),
            ["2026-11-13 00:00", "2026-11-14 00:00"]
        );
    }

    #[test]
    fn invalid_cron_expressions_are_refused() {
        for fine in ["* * * * *", "*/5 8-18 * * mon-fri", "0 0 1 jan,jul *", " 0  3 * * 1 ", "0 0 * * sun#2"]
        {
            assert!(parse("test", fine).is_ok(), "{fine}");
        }
        for fine in ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"] {
            assert!(parse("test", fine).is_ok(), "{fine}");
        }
        let refused = [
            "",
            "every day",
            "* * * *",
            "*/10 * * * * *",   // seconds
            "0 0 0 1 1 * 2027", // seconds and years
            "60 * * * *",
            "0 24 * * *",
            "0 0 32 * *",
            "0 0 * 13 *",
            "0 0 * * 8",
            "*/0 * * * *",
            "5-1 * * * *",
            "@reboot",
            "@every 5m",
            "0 0 30 2 *", // no such day
            "0 0 31 4,6,9,11 *",
        ];
        for text in refused {
            assert!(matches!(parse("test", text), Err(ScheduleError::Cron { .. })), "`{text}` was accepted");
        }
    }
}
