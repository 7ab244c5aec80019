//! Rescue: jobs whose worker died become available again.
//!
//! A worker is dead when its beat counter stood still for "dead after" on our own monotonic clock while each of our
//! own looks succeeded: neither an outage nor a jump of the database's clock rescues anybody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use uuid::Uuid;

/// Watches the other workers' beat counters.
#[derive(Debug)]
pub(crate) struct Watch {
    dead_after: Duration,
    seen: HashMap<Uuid, Seen>,
    last_look: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    beat: i64,
    since: Instant,
}

impl Watch {
    pub(crate) fn new(dead_after: Duration) -> Self {
        Self { dead_after, seen: HashMap::new(), last_look: None }
    }

    /// Forgets what was seen: after an interruption every counter gets its full time again.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
        self.last_look = None;
    }

    /// Buries who is dead and rescues what the dead left. Returns the number of jobs rescued.
    pub(crate) async fn judge(
        &mut self,
        connection: &mut PgConnection,
        others: &Others,
    ) -> Result<u64, sqlx::Error> {
        let dead = self.observe(&others.beats, Instant::now());
        let buried = !dead.is_empty();
        for (id, beat) in dead {
            bury(connection, id, beat).await?;
            self.seen.remove(&id);
        }
        if !buried && !others.ownerless {
            return Ok(0);
        }
        let rescued = rescue_ownerless(connection).await?;
        if rescued > 0 {
            tracing::warn!(jobs = rescued, "rescued jobs of dead workers");
        }
        Ok(rescued)
    }

    /// The workers that are dead, with the beat they stopped at.
    fn observe(&mut self, beats: &[(Uuid, i64)], now: Instant) -> Vec<(Uuid, i64)> {
        // We were stopped ourselves (SIGSTOP, a paused machine): what we saw before says nothing.
        if self.last_look.is_some_and(|last| now.duration_since(last) > self.dead_after / 2) {
            self.seen.clear();
        }
        self.last_look = Some(now);
        let mut seen = HashMap::with_capacity(beats.len());
        let mut dead = Vec::new();
        for &(id, beat) in beats {
            let since = match self.seen.get(&id) {
                Some(before) if before.beat == beat => before.since,
                _ => now,
            };
            if now.duration_since(since) >= self.dead_after {
                dead.push((id, beat));
            }
            seen.insert(id, Seen { beat, since });
        }
        self.seen = seen;
        dead
    }
}

/// What one look sees of the other workers.
#[derive(Debug)]
pub(crate) struct Others {
    beats: Vec<(Uuid, i64)>,
    /// Something runs under a worker that has no row.
    pub(crate) ownerless: bool,
}

impl Others {
    pub(crate) fn new(ids: Vec<Uuid>, beats: Vec<i64>) -> Self {
        Self { beats: ids.into_iter().zip(beats).collect(), ownerless: false }
    }
}

/// Looks at the others.
pub(crate) async fn look(connection: &mut PgConnection, me: Uuid) -> Result<Others, sqlx::Error> {
    let (ids, beats) = sqlx::query_as(
        "-- rescue::look
         SELECT ARRAY(SELECT id FROM queue.workers WHERE id <> $1 ORDER BY id),
                ARRAY(SELECT beat FROM queue.workers WHERE id <> $1 ORDER BY id)",
    )
    .bind(me)
    .fetch_one(connection)
    .await?;
    Ok(Others::new(ids, beats))
}

/// Takes the dead worker's row away, if its counter still stands where we saw it. What ran under it is ownerless then.
async fn bury(connection: &mut PgConnection, id: Uuid, beat: i64) -> Result<(), sqlx::Error> {
    sqlx::query("-- rescue::bury\nDELETE FROM queue.workers WHERE id = $1 AND beat = $2")
        .bind(id)
        .bind(beat)
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives back the running rows whose worker has no row. A crash counts only where the checkpoint did not advance since the
/// last one; where it did, those before are forgotten, as poison makes no progress. A job with a counted crash waits a little. A row that somebody holds at this moment is left to the next look:
/// one slow transaction must not hold up the rescue of all others.
async fn rescue_ownerless(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "-- rescue::rescue_ownerless
         WITH gone AS MATERIALIZED (
             SELECT id, lease FROM queue.jobs AS job
              WHERE state = 'running'
                AND NOT EXISTS (SELECT FROM queue.workers AS w WHERE w.id = job.worker_id)
         ), lost AS MATERIALIZED (
             -- By the lease: another rescuer may have been here, and the job may run again by now.
             SELECT job.id FROM queue.jobs AS job JOIN gone ON gone.id = job.id AND gone.lease = job.lease
              WHERE job.state = 'running'
              ORDER BY job.id
                FOR UPDATE OF job SKIP LOCKED
         ), rescued AS (
             UPDATE queue.jobs AS job
                SET state = 'available', lease = NULL, worker_id = NULL, checkpoint_advanced = false,
                    reason = 'the worker process died',
                    crashes = CASE WHEN checkpoint_advanced THEN 0 ELSE crashes + 1 END,
                    run_at = now() + CASE WHEN checkpoint_advanced THEN interval '0'
                                          ELSE (crashes + 1) * interval '1 second' END
               FROM lost
              WHERE job.id = lost.id
             RETURNING job.id, job.attempt, job.worker
         )
         INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
         SELECT id, attempt, worker, 'crashed', 'the worker process died during this attempt' FROM rescued
         ON CONFLICT DO NOTHING",
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Duration = Duration::from_secs(10);

    fn look(watch: &mut Watch, start: Instant, seconds: u64, other: Uuid, beat: i64) -> bool {
        !watch.observe(&[(other, beat)], start + Duration::from_secs(seconds)).is_empty()
    }

    #[test]
    fn a_counter_that_stands_still_is_dead_after_the_full_time_and_not_before() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = Watch::new(DEAD);
        for second in (0..10).step_by(2) {
            assert!(!look(&mut watch, start, second, other, 5));
        }
        assert!(look(&mut watch, start, 10, other, 5));
    }

    #[test]
    fn a_beat_starts_the_time_again() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = Watch::new(DEAD);
        for second in 0..30 {
            assert!(!look(&mut watch, start, second, other, i64::try_from(second / 9).unwrap()));
        }
    }

    #[test]
    fn a_watcher_that_was_blind_gives_everybody_the_full_time_again() {
        let (start, other) = (Instant::now(), Uuid::from_u128(7));
        let mut watch = Watch::new(DEAD);
        assert!(!look(&mut watch, start, 0, other, 5));
        // An outage of the database: the looks between failed, and what was seen is forgotten.
        watch.forget();
        assert!(!look(&mut watch, start, 11, other, 5));
        // We were stopped for a minute ourselves.
        assert!(!look(&mut watch, start, 71, other, 5));
        for second in (71..81).step_by(2) {
            assert!(!look(&mut watch, start, second, other, 5));
        }
        assert!(look(&mut watch, start, 81, other, 5));
    }
}
