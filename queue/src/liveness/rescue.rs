//! Rescue: jobs of a dead worker become available again.
//!
//! A worker is dead when its beat counter stands still for `dead_after` on our monotonic clock and all our own reads succeed
//! meanwhile. So neither an outage nor a clock jump of the database causes a rescue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use uuid::Uuid;

/// Watches the beat counters of the other workers.
#[derive(Debug)]
pub(super) struct WorkerWatch {
    dead_after: Duration,
    counters: HashMap<Uuid, Counter>,
    last_read: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    beat: i64,
    since: Instant,
}

impl WorkerWatch {
    pub(crate) fn new(dead_after: Duration) -> Self {
        Self { dead_after, counters: HashMap::new(), last_read: None }
    }

    /// Restarts all timers: after an interruption every worker gets its full time again.
    pub(super) fn reset(&mut self) {
        self.counters.clear();
        self.last_read = None;
    }

    /// Removes dead workers and rescues their jobs. Returns the number of jobs rescued.
    pub(super) async fn rescue_from_dead(
        &mut self,
        connection: &mut PgConnection,
        others: &OtherWorkers,
    ) -> Result<u64, sqlx::Error> {
        let dead = self.observe(&others.beats, Instant::now());
        let any_dead = !dead.is_empty();
        for (id, beat) in dead {
            remove_worker(connection, id, beat).await?;
            self.counters.remove(&id);
        }
        if !any_dead && !others.have_ownerless_jobs {
            return Ok(0);
        }
        let rescued = rescue_ownerless(connection).await?;
        if rescued > 0 {
            tracing::warn!(jobs = rescued, "rescued jobs of dead workers");
        }
        Ok(rescued)
    }

    /// The dead workers, each with its last beat.
    fn observe(&mut self, beats: &[(Uuid, i64)], now: Instant) -> Vec<(Uuid, i64)> {
        // This process was stopped itself (SIGSTOP, a paused machine): earlier reads prove nothing.
        if self.last_read.is_some_and(|last| now.duration_since(last) > self.dead_after / 2) {
            self.counters.clear();
        }
        self.last_read = Some(now);
        let mut counters = HashMap::with_capacity(beats.len());
        let mut dead = Vec::new();
        for &(id, beat) in beats {
            let since = match self.counters.get(&id) {
                Some(before) if before.beat == beat => before.since,
                _ => now,
            };
            if now.duration_since(since) >= self.dead_after {
                dead.push((id, beat));
            }
            counters.insert(id, Counter { beat, since });
        }
        self.counters = counters;
        dead
    }
}

/// One read of the other workers.
#[derive(Debug)]
pub(super) struct OtherWorkers {
    beats: Vec<(Uuid, i64)>,
    /// True if a job runs under a worker without a row.
    pub(super) have_ownerless_jobs: bool,
}

impl OtherWorkers {
    pub(super) fn new(ids: Vec<Uuid>, beats: Vec<i64>) -> Self {
        Self { beats: ids.into_iter().zip(beats).collect(), have_ownerless_jobs: false }
    }
}

pub(super) async fn read_others(
    connection: &mut PgConnection,
    own_id: Uuid,
) -> Result<OtherWorkers, sqlx::Error> {
    let (ids, beats) = sqlx::query_as(
        "-- rescue::read_others
         SELECT ARRAY(SELECT id FROM queue.workers WHERE id <> $1 ORDER BY id),
                ARRAY(SELECT beat FROM queue.workers WHERE id <> $1 ORDER BY id)",
    )
    .bind(own_id)
    .fetch_one(connection)
    .await?;
    Ok(OtherWorkers::new(ids, beats))
}

/// Removes the dead worker's row unless it has beaten since. Its running jobs are ownerless then.
async fn remove_worker(connection: &mut PgConnection, id: Uuid, beat: i64) -> Result<(), sqlx::Error> {
    sqlx::query("-- rescue::remove_worker\nDELETE FROM queue.workers WHERE id = $1 AND beat = $2")
        .bind(id)
        .bind(beat)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes running rows without a worker available. A crash counts only if the checkpoint did not advance since the last one.
/// If it advanced, earlier crashes are reset: a job that kills its worker makes no progress. A job with a counted crash waits
/// a little. Locked rows are left to the next read: one slow transaction must not delay all other rescues.
async fn rescue_ownerless(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(include_str!("../../sql/rescue.sql")).execute(connection).await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Duration = Duration::from_secs(10);

    fn look(watch: &mut WorkerWatch, start: Instant, seconds: u64, other: Uuid, beat: i64) -> bool {
        !watch.observe(&[(other, beat)], start + Duration::from_secs(seconds)).is_empty()
    }

    #[test]
    fn a_worker_is_dead_only_after_its_counter_stood_still_for_the_full_time() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = WorkerWatch::new(DEAD);
        for second in (0..10).step_by(2) {
            assert!(!look(&mut watch, start, second, other, 5));
        }
        assert!(look(&mut watch, start, 10, other, 5));
    }

    #[test]
    fn a_beat_restarts_the_timer() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = WorkerWatch::new(DEAD);
        for second in 0..30 {
            assert!(!look(&mut watch, start, second, other, i64::try_from(second / 9).unwrap()));
        }
    }

    #[test]
    fn an_interrupted_watch_gives_every_worker_the_full_time_again() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = WorkerWatch::new(DEAD);
        assert!(!look(&mut watch, start, 0, other, 5));
        // The database was away: reads failed, so the timers restart.
        watch.reset();
        assert!(!look(&mut watch, start, 11, other, 5));
        // This process was stopped for a minute.
        assert!(!look(&mut watch, start, 71, other, 5));
        for second in (71..81).step_by(2) {
            assert!(!look(&mut watch, start, second, other, 5));
        }
        assert!(look(&mut watch, start, 81, other, 5));
    }
}
