//! One look at one schedule: whoever moves `last_tick` forward enqueues the tick's job in the same transaction.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use croner::Cron;
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use crate::enqueue::enqueue;
use crate::queue::Queue;
use crate::schedule::{CatchUp, Schedule};

/// A tick that is noticed this much later was missed.
const MISSED_AFTER: Duration = Duration::from_secs(60);

/// A last tick that lies further ahead than this was taken by a wrong clock.
const AHEAD: TimeDelta = TimeDelta::hours(1);

/// What a look did with one schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing was due, or another scheduler took it.
    Nothing,
    /// The tick's job was enqueued.
    Enqueued,
    /// The tick's predecessor is still live, or the tick was missed and is not caught up.
    Skipped,
}

/// The latest tick in `(after, now]`.
pub(crate) fn latest_tick(cron: &Cron, after: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    cron.find_previous_occurrence(&now, true).ok().filter(|tick| *tick > after && *tick <= now)
}

/// Looks at one schedule once.
pub(crate) async fn tick(queue: &Queue, schedule: &Schedule, cron: &Cron) -> Result<Tick, sqlx::Error> {
    let mut connection = queue.pool().acquire().await?;
    let (last_tick, now) = register(&mut connection, schedule).await?;
    if last_tick - now > AHEAD {
        if advance(&mut connection, schedule.name, last_tick, now).await? {
            tracing::warn!(schedule = schedule.name, %last_tick, "the clock was set back; the schedule starts now");
        }
        return Ok(Tick::Nothing);
    }
    let Some(tick) = latest_tick(cron, last_tick, now) else { return Ok(Tick::Nothing) };
    let missed = (now - tick).to_std().unwrap_or_default() > MISSED_AFTER;

    let mut tx = connection.begin().await?;
    if !advance(&mut tx, schedule.name, last_tick, tick).await? {
        return Ok(Tick::Nothing);
    }
    let done = if missed && schedule.catch_up == CatchUp::None {
        record_skipped(&mut tx, schedule.name, tick).await?;
        Tick::Skipped
    } else {
        let mut job = schedule.job.clone();
        job.unique_key.get_or_insert_with(|| format!("schedule:{}", schedule.name));
        let enqueued = enqueue(&mut tx, &job).await?;
        if enqueued.created {
            record_job(&mut tx, schedule.name, enqueued.id).await?;
            Tick::Enqueued
        } else {
            record_skipped(&mut tx, schedule.name, tick).await?;
            Tick::Skipped
        }
    };
    tx.commit().await?;
    if done == Tick::Enqueued {
        queue.wake();
    }
    Ok(done)
}

/// The schedule's last tick and the database's time. Registers it where it is new; stores a changed cron text.
async fn register(
    connection: &mut PgConnection,
    schedule: &Schedule,
) -> Result<(DateTime<Utc>, DateTime<Utc>), sqlx::Error> {
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
    // A changed cron text keeps the last tick: only the latest tick since then can be due, and while two versions of the
    // program run side by side each sees to the ticks of its own text.
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
    from: DateTime<Utc>,
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
