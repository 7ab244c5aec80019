//! Cron jobs, enqueued exactly once per tick however many schedulers run.
//!
//! Every scheduler looks each second, by the database's clock and in UTC. The one that moves `last_tick` forward by
//! compare-and-set enqueues the job in the same transaction; the others find it moved. A tick whose predecessor is
//! still live is recorded as skipped. The first registration starts now: nothing is caught up from before it.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use sqlx::{Acquire, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::enqueue::{NewJob, enqueue};
use crate::prune::{Retention, prune};
use crate::queue::Queue;

/// Time between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// A tick that is noticed this much later was missed.
const MISSED_AFTER: Duration = Duration::from_secs(60);

/// What happens to ticks that passed while no scheduler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// They are passed over.
    None,
    /// The latest of them is enqueued, once.
    Latest,
}

/// One cron job.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Stable name, stored.
    pub name: &'static str,
    /// Five fields (minute, hour, day, month, weekday), UTC.
    pub cron: String,
    /// What happens to missed ticks.
    pub catch_up: CatchUp,
    /// The job of each tick. It keeps its unique key, so that a run started by hand counts as live too; without one it
    /// gets the schedule's. Two runs never overlap.
    pub job: NewJob,
}

/// Why a scheduler did not start.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The cron text cannot be read.
    #[error("schedule `{name}`: `{cron}` is no cron expression (minute hour day month weekday): {reason}")]
    Cron {
        /// The schedule.
        name: &'static str,
        /// Its cron text.
        cron: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a look did with one schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Nothing was due, or another scheduler took it.
    Nothing,
    /// The tick's job was enqueued.
    Enqueued,
    /// The tick's predecessor is still live, or the tick was missed and is not caught up.
    Skipped,
}

/// Enqueues the schedules' jobs at their ticks, and prunes what `retention` lets go, until `stop` fires. It never ends
/// because of the database.
///
/// # Errors
/// Only at start, for a cron text that cannot be read.
pub async fn run_scheduler(
    queue: Queue,
    schedules: Vec<Schedule>,
    retention: Retention,
    stop: CancellationToken,
) -> Result<(), ScheduleError> {
    let schedules = schedules
        .into_iter()
        .map(|schedule| parse(&schedule).map(|cron| (schedule, cron)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tracing::info!(schedules = schedules.len(), "scheduler started");
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = looks.tick() => {}
        }
        for (schedule, cron) in &schedules {
            match tick(&queue, schedule, cron).await {
                Ok(Tick::Nothing) => {}
                Ok(done) => tracing::info!(schedule = schedule.name, ?done, "tick"),
                Err(error) => tracing::warn!(schedule = schedule.name, %error, "no look at the schedule"),
            }
        }
        match prune(queue.pool(), &retention).await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "pruned"),
            Err(error) => tracing::warn!(%error, "not pruned"),
        }
    }
    tracing::info!("scheduler stopped");
    Ok(())
}

fn parse(schedule: &Schedule) -> Result<Cron, ScheduleError> {
    Cron::from_str(&schedule.cron).map_err(|error| ScheduleError::Cron {
        name: schedule.name,
        cron: schedule.cron.clone(),
        reason: error.to_string(),
    })
}

/// The latest tick in `(after, now]`.
fn latest_tick(cron: &Cron, after: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    cron.find_previous_occurrence(&now, true).ok().filter(|tick| *tick > after && *tick <= now)
}

/// Looks at one schedule once.
async fn tick(queue: &Queue, schedule: &Schedule, cron: &Cron) -> Result<Tick, sqlx::Error> {
    let mut connection = queue.pool().acquire().await?;
    let (last_tick, now) = register(&mut connection, schedule).await?;
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

/// True for the one scheduler that moves the schedule forward to `tick`.
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

async fn record_job(tx: &mut PgConnection, name: &str, job: uuid::Uuid) -> Result<(), sqlx::Error> {
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
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_latest_tick_is_after_the_last_and_not_in_the_future() {
        let hourly = Cron::from_str("17 * * * *").unwrap();
        let last = at("2026-11-22T10:17:00Z");
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T11:16:59Z")), None);
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T11:17:00Z")), Some(at("2026-11-22T11:17:00Z")));
        // Three ticks passed: the latest counts.
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T13:20:00Z")), Some(at("2026-11-22T13:17:00Z")));
        // The clock jumped back: nothing.
        assert_eq!(latest_tick(&hourly, last, at("2026-11-22T09:30:00Z")), None);
    }
}
