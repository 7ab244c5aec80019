//! Enqueues cron jobs exactly once per tick, with any number of schedulers.
//!
//! Every scheduler checks each second, by the database's clock and in UTC. The one that moves `last_tick`
//! forward by compare-and-set enqueues the job in the same transaction; the others find it moved. If the
//! previous run is still live, the tick is recorded as skipped. A schedule starts at its first registration;
//! earlier ticks are not caught up.
//!
//! `last_tick` only moves forward, so a clock that is set back repeats nothing: ticks continue after the last
//! one. One exception keeps a schedule alive: if the last tick is more than an hour ahead, it came from a
//! wrong clock, and the schedule restarts now.
//!
//! A changed cron expression keeps `last_tick`; the latest of its ticks since then counts.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use croner::Cron;
use tokio_util::sync::CancellationToken;

use super::schedule::{Schedule, ScheduleError, parse};
use super::tick::{TickOutcome, tick};
use crate::admin::activity::count_minute;
use crate::admin::prune::{Retention, prune};
use crate::enqueue::queue::Queue;
use crate::stale::note_stale;

/// Time between two checks of the clock.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for the database before the next schedule is checked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that one check spends on counting minutes after an outage.
const COUNT_TIMEOUT: Duration = Duration::from_millis(500);

const MINUTE: Duration = Duration::from_secs(60);

/// Shortest part of a minute that is counted at once.
const SHORTEST_PART: Duration = Duration::from_secs(1);

/// Longest time that one check spends on pruning full batches.
const PRUNE_TIMEOUT: Duration = Duration::from_millis(500);

/// Enqueues the schedules' jobs at their ticks, counts each minute's ends of jobs for
/// [`activity`](crate::activity()), and prunes jobs past their `retention`, until `stop` fires.
/// It never ends because of the database.
///
/// # Errors
/// Only at start: if a cron expression is invalid or has no tick, or if a name is used twice.
pub async fn run_scheduler(
    queue: Queue,
    schedules: Vec<Schedule>,
    retention: Retention,
    stop: CancellationToken,
) -> Result<(), ScheduleError> {
    let mut names = HashSet::new();
    if let Some(duplicate) = schedules.iter().find(|schedule| !names.insert(schedule.name)) {
        return Err(ScheduleError::Duplicate(duplicate.name));
    }
    let schedules = schedules
        .into_iter()
        .map(|schedule| parse(schedule.name, &schedule.cron).map(|cron| (schedule, cron)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tracing::info!(schedules = schedules.len(), "scheduler started");
    let work = async {
        let mut part = MINUTE;
        loop {
            checks.tick().await;
            for (schedule, cron) in &schedules {
                check(&queue, schedule, cron).await;
            }
            count_minutes(&queue, &mut part).await;
            prune_for_a_while(&queue, &retention).await;
        }
    };
    // A check's transaction is committed as a whole or not at all, so the stop may interrupt it.
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
    tracing::info!("scheduler stopped");
    Ok(())
}

async fn check(queue: &Queue, schedule: &Schedule, cron: &Cron) {
    match with_timeout(tick(queue, schedule, cron)).await {
        Ok(TickOutcome::NotDue) => {}
        Ok(done) => tracing::info!(schedule = schedule.name, ?done, "tick"),
        Err(error) => tracing::warn!(schedule = schedule.name, %error, "could not check the schedule"),
    }
}

/// Counts the minutes that are over, for [`activity`](crate::activity), but not so long that a tick is late. `part` is
/// halved while a minute has more jobs than can be counted within [`ANSWER_TIMEOUT`].
async fn count_minutes(queue: &Queue, part: &mut Duration) {
    let begun = Instant::now();
    while begun.elapsed() < COUNT_TIMEOUT {
        match with_timeout(count_minute(queue.pool(), *part)).await {
            Ok(Some(_)) => *part = (*part * 2).min(MINUTE),
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "could not count the last minute");
                *part = (*part / 2).max(SHORTEST_PART);
                break;
            }
        }
    }
}

/// Prunes batches while they are full, but not so long that a tick is late.
async fn prune_for_a_while(queue: &Queue, retention: &Retention) {
    let begun = Instant::now();
    let mut pruned = 0;
    while begun.elapsed() < PRUNE_TIMEOUT {
        match with_timeout(prune(queue.pool(), retention)).await {
            Ok(jobs) => {
                pruned += jobs;
                if jobs < retention.batch.max(1).unsigned_abs() {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "could not prune");
                break;
            }
        }
    }
    if pruned > 0 {
        tracing::info!(jobs = pruned, "pruned");
    }
}

async fn with_timeout<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, step).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
    answer.inspect_err(|error| {
        note_stale(error);
    })
}
