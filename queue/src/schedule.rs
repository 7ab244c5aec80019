//! Cron jobs, enqueued exactly once per tick however many schedulers run.
//!
//! Every scheduler looks each second, by the database's clock and in UTC. The one that moves `last_tick` forward by
//! compare-and-set enqueues the job in the same transaction; the others find it moved. A tick whose predecessor is
//! still live is recorded as skipped. The first registration starts now: nothing is caught up from before it.
//!
//! `last_tick` only moves forward, so a clock that is set back repeats nothing: ticks begin again where it had been. One
//! exception keeps a schedule from falling silent: where the last tick lies more than an hour ahead, the clock was wrong
//! when it was taken, and the schedule starts now as at its first registration.
//!
//! A changed cron text keeps `last_tick`: of the new text's ticks since then the latest counts.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use tokio_util::sync::CancellationToken;

use crate::enqueue::NewJob;
use crate::prune::{Retention, prune};
use crate::queue::Queue;
use crate::tick::{Tick, tick};

/// Time between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// Longest wait for the database before the next schedule has its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one look may go on pruning while there is more than a batch.
const PRUNE_FOR: Duration = Duration::from_millis(500);

/// Where the search for a cron text's first tick begins. 30 February never comes; 29 February does within eight years.
const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

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
    /// Five fields (minute, hour, day, month, weekday), UTC, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Names
    /// (`mon`, `jan`), lists, ranges, steps, `L` (last) and `#` (n-th weekday) are read. Where both day and weekday are
    /// restricted, either will do. There are no seconds and no years.
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
    /// Two schedules would take each other's ticks.
    #[error("schedule `{0}` is given twice")]
    Twice(&'static str),
}

/// Enqueues the schedules' jobs at their ticks, and prunes what `retention` lets go, until `stop` fires. It never ends
/// because of the database.
///
/// # Errors
/// Only at start: for a cron text that cannot be read or has no tick, and for a name that is given twice.
pub async fn run_scheduler(
    queue: Queue,
    schedules: Vec<Schedule>,
    retention: Retention,
    stop: CancellationToken,
) -> Result<(), ScheduleError> {
    let mut names = HashSet::new();
    if let Some(twice) = schedules.iter().find(|schedule| !names.insert(schedule.name)) {
        return Err(ScheduleError::Twice(twice.name));
    }
    let schedules = schedules
        .into_iter()
        .map(|schedule| parse(schedule.name, &schedule.cron).map(|cron| (schedule, cron)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tracing::info!(schedules = schedules.len(), "scheduler started");
    let work = async {
        loop {
            looks.tick().await;
            for (schedule, cron) in &schedules {
                look(&queue, schedule, cron).await;
            }
            prune_for_a_while(&queue, &retention).await;
        }
    };
    // Wherever the stop meets a look, its transaction is committed as a whole or not at all.
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
    tracing::info!("scheduler stopped");
    Ok(())
}

async fn look(queue: &Queue, schedule: &Schedule, cron: &Cron) {
    match patience(tick(queue, schedule, cron)).await {
        Ok(Tick::Nothing) => {}
        Ok(done) => tracing::info!(schedule = schedule.name, ?done, "tick"),
        Err(error) => tracing::warn!(schedule = schedule.name, %error, "no look at the schedule"),
    }
}

/// Prunes batch after batch while they are full, but not so long that a tick is late.
async fn prune_for_a_while(queue: &Queue, retention: &Retention) {
    let begun = Instant::now();
    let mut pruned = 0;
    while begun.elapsed() < PRUNE_FOR {
        match patience(prune(queue.pool(), retention)).await {
            Ok(jobs) => {
                pruned += jobs;
                if jobs < retention.batch.max(1).unsigned_abs() {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "not pruned");
                break;
            }
        }
    }
    if pruned > 0 {
        tracing::info!(jobs = pruned, "pruned");
    }
}

async fn patience<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, step).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}

fn parse(name: &'static str, text: &str) -> Result<Cron, ScheduleError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let refused = |reason| ScheduleError::Cron { name, cron: text.to_owned(), reason };
    let cron = parser.parse(text).map_err(|error| refused(error.to_string()))?;
    cron.find_next_occurrence(&EPOCH, true).map_err(|_| refused("no such day ever comes".to_owned()))?;
    Ok(cron)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::tick::latest_tick;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn cron(text: &str) -> Cron {
        parse("test", text).unwrap()
    }

    /// The ticks between two times, found as a scheduler finds them: by looking once a minute.
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
    fn what_is_no_cron_text_is_refused() {
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
            assert!(matches!(parse("test", text), Err(ScheduleError::Cron { .. })), "`{text}` was read");
        }
    }
}
