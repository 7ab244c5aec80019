//! Finds dead workers.
//!
//! A worker is dead when its beat counter stands still for `dead_after` on our monotonic clock while all our own reads
//! succeed. So neither an outage nor a clock jump of the database causes a rescue.
//!
//! The few workers with the smallest ids watch all the others. The rest watch those few, and act a little later: one that
//! dies is removed, and the next takes its place. If all of them stand still, everybody watches everybody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use uuid::Uuid;

/// How many workers watch all the others.
const WATCHERS: usize = 5;

/// A worker and its beat counter.
pub(super) type Beat = (Uuid, i64);

/// Watches the beat counters of other workers.
#[derive(Debug)]
pub(super) struct WorkerWatch {
    own_id: Uuid,
    dead_after: Duration,
    /// What a worker that is no watcher waits longer: a tenth to three tenths of `dead_after`, so that not all act at once.
    lag: Duration,
    counters: HashMap<Uuid, Counter>,
    last_read: Option<Instant>,
    /// Workers with a smaller id at the last read, counted up to [`WATCHERS`]. None before the first.
    rank: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    beat: i64,
    since: Instant,
}

impl WorkerWatch {
    pub(super) fn new(own_id: Uuid, dead_after: Duration) -> Self {
        let lag = dead_after.mul_f64(0.1 + 0.2 * rand::random::<f64>());
        Self { own_id, dead_after, lag, counters: HashMap::new(), last_read: None, rank: None }
    }

    /// Restarts all timers: after an interruption every worker gets its full time again.
    pub(super) fn reset(&mut self) {
        if !self.counters.is_empty() {
            self.report_blindness();
        }
        self.counters.clear();
        self.last_read = None;
    }

    /// How many of the others to read, the smallest ids first. None: all.
    pub(super) fn limit(&self) -> Option<i64> {
        let alone = self.rank.is_some() && self.all_stand_still();
        if self.is_watcher() || alone { None } else { i64::try_from(WATCHERS).ok() }
    }

    /// True if this worker watches all the others.
    pub(super) fn is_watcher(&self) -> bool {
        self.rank.is_some_and(|rank| rank < WATCHERS)
    }

    /// True if no living worker has a smaller id.
    pub(super) fn is_first(&self) -> bool {
        self.rank == Some(0)
    }

    /// Takes a read of the others. Returns the dead ones.
    pub(super) fn observe(&mut self, beats: &[Beat], now: Instant) -> Vec<Beat> {
        // This process was stopped itself (SIGSTOP, a paused machine), or the database was slow: earlier reads prove
        // nothing.
        if self.last_read.is_some_and(|last| now.duration_since(last) > self.dead_after / 2) {
            self.report_blindness();
            self.counters.clear();
        }
        self.last_read = Some(now);
        self.rank = Some(beats.iter().filter(|(id, _)| *id < self.own_id).count().min(WATCHERS));
        let limit = if self.is_watcher() { self.dead_after } else { self.dead_after + self.lag };
        let mut counters = HashMap::with_capacity(beats.len());
        let mut dead = Vec::new();
        for &(id, beat) in beats {
            let since = match self.counters.get(&id) {
                Some(before) if before.beat == beat => before.since,
                _ => now,
            };
            if now.duration_since(since) >= limit {
                dead.push((id, beat));
            }
            counters.insert(id, Counter { beat, since });
        }
        self.counters = counters;
        dead
    }

    fn all_stand_still(&self) -> bool {
        let Some(now) = self.last_read else { return false };
        let stands = |counter: &Counter| now.duration_since(counter.since) > self.dead_after / 3;
        !self.counters.is_empty() && self.counters.values().all(stands)
    }

    fn report_blindness(&self) {
        metrics::counter!("bedel_queue_watch_interruptions_total").increment(1);
        tracing::warn!(
            dead_after = ?self.dead_after,
            "this worker could not watch the others; it looks for dead ones from the start"
        );
    }
}

/// Reads up to `limit` of the other workers, the smallest ids first.
pub(super) async fn read_others(
    connection: &mut PgConnection,
    own_id: Uuid,
    limit: Option<i64>,
) -> Result<Vec<Beat>, sqlx::Error> {
    let (ids, beats): (Vec<Uuid>, Vec<i64>) = sqlx::query_as(
        "-- rescue::read_others
         SELECT ARRAY(SELECT id FROM queue.workers WHERE id <> $1 ORDER BY id LIMIT $2),
                ARRAY(SELECT beat FROM queue.workers WHERE id <> $1 ORDER BY id LIMIT $2)",
    )
    .bind(own_id)
    .bind(limit)
    .fetch_one(connection)
    .await?;
    Ok(ids.into_iter().zip(beats).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Duration = Duration::from_secs(10);

    fn watch() -> WorkerWatch {
        WorkerWatch::new(Uuid::from_u128(100), DEAD)
    }

    fn look(watch: &mut WorkerWatch, start: Instant, seconds: u64, other: Uuid, beat: i64) -> bool {
        !watch.observe(&[(other, beat)], start + Duration::from_secs(seconds)).is_empty()
    }

    #[test]
    fn a_worker_is_dead_only_after_its_counter_stood_still_for_the_full_time() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = watch();
        for second in (0..10).step_by(2) {
            assert!(!look(&mut watch, start, second, other, 5));
        }
        assert!(look(&mut watch, start, 10, other, 5));
    }

    #[test]
    fn a_beat_restarts_the_timer() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = watch();
        for second in 0..30 {
            assert!(!look(&mut watch, start, second, other, i64::try_from(second / 9).unwrap()));
        }
    }

    #[test]
    fn an_interrupted_watch_gives_every_worker_the_full_time_again() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = watch();
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

    /// Ids 1 to `last`.
    fn fleet(last: u128, beat: i64) -> Vec<Beat> {
        (1..=last).map(|id| (Uuid::from_u128(id), beat)).collect()
    }

    #[test]
    fn a_few_watch_all_and_the_rest_watch_those() {
        let start = Instant::now();
        let mut watch = watch();
        assert_eq!(watch.limit(), Some(5), "before the first read");
        watch.observe(&fleet(4, 1), start);
        assert!(watch.is_watcher() && !watch.is_first());
        assert_eq!(watch.limit(), None);
        watch.observe(&fleet(5, 1), start);
        assert!(!watch.is_watcher());
        assert_eq!(watch.limit(), Some(5));
        watch.observe(&[(Uuid::from_u128(101), 1)], start);
        assert!(watch.is_first());
    }

    #[test]
    fn one_that_is_no_watcher_acts_later() {
        let start = Instant::now();
        let mut watch = watch();
        for (second, dead) in [(0, 0), (4, 0), (8, 0), (10, 0), (14, 5)] {
            let found = watch.observe(&fleet(5, 1), start + Duration::from_secs(second));
            assert_eq!(found.len(), dead, "after {second} s");
        }
    }

    #[test]
    fn all_take_over_if_the_watchers_stand_still() {
        let start = Instant::now();
        let mut watch = watch();
        for (second, limit) in [(0, Some(5)), (3, Some(5)), (4, None)] {
            assert!(watch.observe(&fleet(5, 1), start + Duration::from_secs(second)).is_empty());
            assert_eq!(watch.limit(), limit, "after {second} s");
        }
        // One of them beats again.
        let mut beats = fleet(5, 1);
        beats[2].1 = 2;
        watch.observe(&beats, start + Duration::from_secs(5));
        assert_eq!(watch.limit(), Some(5));
    }
}
