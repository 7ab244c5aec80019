//! The process's one claimer: it claims for all free slots and delivers the jobs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::isolation::{HeldSuspect, Isolation};
use super::registry::Deliver;
use crate::claim::claimed::Claimed;
use crate::claim::request::{ClaimRequest, ClaimResult, KindDemand, PRIORITIES};
use crate::claim::statement::{claim, next_due};
use crate::column::Timestamp;
use crate::dedicated_connection::answered;
use crate::enqueue::queue::Queue;
use crate::fence;
use crate::job::attempt::{Attempt, CheckpointSaves};
use crate::job::progress::Progress;
use crate::liveness::fleet::Fleet;
use crate::liveness::in_flight::{InFlight, InFlightAttempt};
use crate::options::WorkerOptions;
use crate::policy::Policy;
use crate::settle::worker_shared::WorkerShared;
use crate::stale::note_stale;

/// Longest wait for a claim's answer. The heartbeat releases jobs that it took after all.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed claim.
const CLAIM_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// First pause after another process held the groups' lock: such a claim takes about a millisecond. Doubled each time.
const GROUPS_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Longest such pause.
const MAX_GROUPS_RETRY_PAUSE: Duration = Duration::from_millis(320);

/// A worker that hears wake-ups waits this many polls: it knows what is due later.
const IDLE_POLLS: u32 = 3;

/// Shortest time between two wake-ups for jobs that found no free slot here.
const PASS_ON_INTERVAL: Duration = Duration::from_millis(100);

/// Longest time between two scans from the start of the index.
const RESCAN_INTERVAL: Duration = Duration::from_millis(250);

/// Most jobs of a kind per claim of a backlog; also never more than half of its slots. The jobs of one claim
/// run and end while the next claim is made. If one claim filled all slots, claims and ends would wait for
/// each other.
const MAX_BACKLOG_BATCH: usize = 500;

/// Most jobs of a kind per claim without a known backlog, and for kinds with few slots. Each claim has a
/// fixed cost.
const SMALL_BATCH: usize = 32;

/// Most bytes of args per claim of a backlog, by the size of the args claimed before.
const MAX_CLAIM_BYTES: usize = 16 << 20;

/// One kind of this process.
pub(super) struct Kind {
    pub(super) kind: &'static str,
    pub(super) policy: Policy,
    pub(super) slots: usize,
    pub(super) deliver: Deliver,
}

impl Kind {
    /// How many jobs to claim for `free` slots.
    fn batch(&self, free: usize, backlog: Option<&Cursor>) -> usize {
        free.min(match backlog {
            Some(cursor) => {
                let by_bytes = MAX_CLAIM_BYTES / cursor.bytes_per_job.max(1);
                (self.slots / 2).clamp(SMALL_BATCH, MAX_BACKLOG_BATCH).min(by_bytes.max(1))
            }
            None => SMALL_BATCH,
        })
    }
}

/// Where claims of a backlog resume.
///
/// Claimed jobs stay in the index until vacuum removes them, and an old snapshot delays that. A scan from the
/// earliest time would walk all of them, each time. So while claims come back full, the next one starts where
/// the last one ended. A job that appears with an earlier time (its producer's transaction was slow) waits
/// for the next scan from the start: after `RESCAN_INTERVAL`, or after a claim that was not filled. Each kind has its
/// own cursor, as an idle kind is scanned from the start all the time.
#[derive(Debug)]
struct Cursor {
    /// When the last scan from the start was answered.
    scanned_at: Instant,
    /// How long it took: scans from the start must stay a small share of all.
    took: Duration,
    from: [Option<Timestamp>; PRIORITIES],
    /// Mean size of the args in the last claim.
    bytes_per_job: usize,
}

impl Cursor {
    fn is_fresh(&self) -> bool {
        self.scanned_at.elapsed() <= RESCAN_INTERVAL.max(self.took * 10)
    }
}

/// When the next claim is due without a wake-up.
enum NextClaim {
    Now,
    Soon,
    Later,
}

pub(super) struct Claimer {
    queue: Queue,
    /// The connection of the attempts.
    attempts: PgPool,
    /// The dedicated connection for claims.
    claims: PgPool,
    fleet: Arc<Fleet>,
    kinds: Vec<Kind>,
    in_flight: Arc<InFlight>,
    /// Fires when there may be work.
    work: Arc<Notify>,
    /// When it last woke others.
    passed_on: Mutex<Option<Instant>>,
    /// The kinds with a backlog.
    cursors: Mutex<HashMap<&'static str, Cursor>>,
}

impl Claimer {
    pub(super) fn new(
        shared: &WorkerShared,
        claims: PgPool,
        fleet: Arc<Fleet>,
        kinds: Vec<Kind>,
        in_flight: &Arc<InFlight>,
        work: Arc<Notify>,
    ) -> Self {
        Self {
            queue: shared.queue.clone(),
            attempts: shared.attempts.clone(),
            claims,
            fleet,
            kinds,
            in_flight: Arc::clone(in_flight),
            work,
            passed_on: Mutex::default(),
            cursors: Mutex::default(),
        }
    }

    /// Claims until `stop` fires.
    pub(super) async fn run(self: Arc<Self>, options: WorkerOptions, stop: CancellationToken) {
        let mut isolation = Isolation::new(options.suspect_patience);
        let mut groups_pause = GROUPS_RETRY_PAUSE;
        // True if the last claim found nothing and no wake-up came since.
        let mut is_idle = false;
        loop {
            // Register interest before the claim, so that no signal is missed in between.
            let woken = self.work.notified();
            let slot_freed = self.in_flight.slot_freed.notified();
            let mut pause = options.poll.mul_f64(0.9 + 0.2 * rand::random::<f64>());
            if let Some(held) = isolation.held.take() {
                pause = pause.min(self.isolate(&mut isolation, held).await);
            } else if !self.in_flight.has_suspect() {
                isolation.end();
                let demands = self.demands();
                if let Some(wait) = self.idle_wait(&demands, is_idle, pause).await {
                    pause = wait;
                } else {
                    let next = self.claim(&demands, &mut isolation, is_idle).await;
                    if !matches!(next, Ok(NextClaim::Soon)) {
                        groups_pause = GROUPS_RETRY_PAUSE;
                    }
                    match next {
                        Ok(NextClaim::Now) => pause = Duration::ZERO,
                        Ok(NextClaim::Soon) => {
                            pause = groups_pause.mul_f64(0.5 + rand::random::<f64>());
                            groups_pause = (groups_pause * 2).min(MAX_GROUPS_RETRY_PAUSE);
                        }
                        Ok(NextClaim::Later) => is_idle = true,
                        Err(error) => {
                            note_stale(&error);
                            tracing::warn!(%error, "claim failed; will retry");
                            pause = CLAIM_RETRY_PAUSE;
                        }
                    }
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = woken => is_idle = false,
                () = slot_freed => is_idle = false,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Some(held) = isolation.held {
            self.give_back(&held).await;
        }
    }

    /// How long an idle worker waits without a claim. None if it should claim.
    async fn idle_wait(&self, demands: &[KindDemand], is_idle: bool, poll: Duration) -> Option<Duration> {
        if !is_idle || demands.is_empty() {
            return None;
        }
        let read = async {
            let mut connection = self.claims.acquire().await?;
            let kinds: Vec<&str> = demands.iter().map(|demand| demand.kind).collect();
            let answer = timeout(CLAIM_TIMEOUT, next_due(&mut connection, &kinds)).await;
            answered(connection, answer)
        };
        // A claim reports the error.
        let due = read.await.ok()?;
        let longest = if self.fleet.hears_wake_ups() { poll * IDLE_POLLS } else { poll };
        match due {
            Some(due) if due.is_zero() => None,
            Some(due) => Some(due.min(longest)),
            None => Some(longest),
        }
    }

    /// Runs the held suspect if nothing else is in flight, or gives it back if that takes too long. Returns when to look
    /// again.
    async fn isolate(&self, isolation: &mut Isolation, held: HeldSuspect) -> Duration {
        if held.attempt.cancellation.is_cancelled() {
            return Duration::ZERO; // it lost its lease
        }
        if self.in_flight.len() > 1 {
            if let Some(left) = held.time_left() {
                isolation.held = Some(held);
                return left;
            }
            self.give_back(&held).await;
            return Duration::ZERO;
        }
        match fence::isolate(&self.attempts, held.row.id, held.row.lease).await {
            Ok(()) => {
                if let Some(kind) = self.kind(&held.row.kind) {
                    (kind.deliver)(held.row, held.attempt, held.guard);
                }
            }
            Err(error) if error.is_lost_lease() => {}
            Err(_) => isolation.held = Some(held),
        }
        CLAIM_RETRY_PAUSE
    }

    /// Best effort: if the database is away, the heartbeat or a rescuer does it.
    async fn give_back(&self, held: &HeldSuspect) {
        let release = fence::release(&self.attempts, held.row.id, held.row.lease);
        if !matches!(timeout(CLAIM_TIMEOUT, release).await, Ok(Ok(()))) {
            self.in_flight.suspect_rows();
            tracing::warn!(job = %held.row.id, "a held job was not given back; the heartbeat will release it");
        }
    }

    fn kind(&self, kind: &str) -> Option<&Kind> {
        self.kinds.iter().find(|known| known.kind == kind)
    }

    fn demands(&self) -> Vec<KindDemand> {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.retain(|_, cursor| cursor.is_fresh());
        self.kinds
            .iter()
            .map(|kind| {
                let free = kind.slots.saturating_sub(self.in_flight.count(kind.kind));
                // Only a full claim leaves a position.
                let cursor = cursors.get(kind.kind);
                let batch = kind.batch(free, cursor);
                KindDemand {
                    kind: kind.kind,
                    queue: kind.policy.queue,
                    free: batch,
                    more: batch < free,
                    group_limit: kind.policy.group_limit,
                    breaker: kind.policy.breaker.is_some(),
                    from: cursor.map(|cursor| cursor.from).unwrap_or_default(),
                }
            })
            .filter(|demand| demand.free > 0)
            .collect()
    }

    /// Claims and delivers. `is_idle`: there was nothing to do for a while.
    async fn claim(
        &self,
        demands: &[KindDemand],
        isolation: &mut Isolation,
        is_idle: bool,
    ) -> Result<NextClaim, sqlx::Error> {
        if demands.is_empty() {
            return Ok(NextClaim::Later);
        }
        let begun = Instant::now();
        let claim_guard = self.in_flight.begin_claim();
        let is_alone = self.in_flight.is_empty();
        let may_take_suspect = isolation.is_rested() || (is_idle && is_alone);
        let request =
            ClaimRequest { worker_id: self.fleet.id, worker: &self.fleet.name, may_take_suspect, is_alone };
        let mut connection = self.claims.acquire().await?;
        let answer = timeout(CLAIM_TIMEOUT, claim(&mut connection, demands, request)).await;
        let ClaimResult { rows, skipped_groups } = answered(connection, answer)?;
        let again = self.move_cursor(demands, &rows, begun.elapsed());
        for row in rows {
            if row.is_suspect() {
                isolation.begin();
            }
            if let Some(held) = self.deliver(row, is_alone) {
                isolation.hold(held);
            }
        }
        claim_guard.answered();
        self.pass_on(demands);
        Ok(match (again, skipped_groups) {
            (true, _) => NextClaim::Now,
            (false, true) => NextClaim::Soon,
            (false, false) => NextClaim::Later,
        })
    }

    /// Wakes others where jobs filled all slots of a kind: only a few were woken for them.
    fn pass_on(&self, demands: &[KindDemand]) {
        if self.fleet.is_small() {
            return;
        }
        let full = demands.iter().filter(|demand| {
            let slots = self.kind(demand.kind).map_or(0, |kind| kind.slots);
            self.in_flight.count(demand.kind) >= slots
        });
        for demand in full {
            let mut last = self.passed_on.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| last.elapsed() >= PASS_ON_INTERVAL) {
                *last = Some(Instant::now());
                self.queue.wake_for(demand.kind);
            }
        }
    }

    /// Stores where the next claim resumes; a kind that was not filled restarts. True if there may be more
    /// jobs for free slots: before the position where an unfilled claim started, or after a full claim that
    /// asked for fewer jobs than there are free slots.
    fn move_cursor(&self, demands: &[KindDemand], rows: &[Claimed], took: Duration) -> bool {
        let mut again = false;
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        for demand in demands {
            let claimed = || rows.iter().filter(|row| row.kind == demand.kind);
            if claimed().count() < demand.free {
                again |= cursors.remove(demand.kind).is_some();
                continue;
            }
            again |= demand.more;
            let cursor = cursors.entry(demand.kind).or_insert_with(|| Cursor {
                scanned_at: Instant::now(),
                took,
                from: Default::default(),
                bytes_per_job: 0,
            });
            cursor.bytes_per_job = claimed().map(|row| row.args.0.len()).sum::<usize>() / demand.free;
            for row in claimed().filter(|row| row.crashes == 0) {
                let position =
                    usize::try_from(row.priority - 1).ok().and_then(|lane| cursor.from.get_mut(lane));
                if let Some(position) = position {
                    *position = (*position).max(Some(row.run_at));
                }
            }
        }
        again
    }

    /// Delivers the job, unless it is a suspect that has to wait until it is alone.
    fn deliver(&self, mut row: Claimed, is_alone: bool) -> Option<HeldSuspect> {
        let kind = self.kind(&row.kind)?;
        let attempt = Attempt {
            job_id: row.id,
            subject: row.subject,
            lease: row.lease,
            number: row.attempt,
            errors: row.errors,
            priority: row.priority,
            age_seconds: (row.attempted_at - row.created_at.time()).as_seconds_f64(),
            checkpoint: row.checkpoint.take(),
            cancellation: CancellationToken::new(),
            progress: Progress::default(),
            saves: CheckpointSaves::default(),
            pool: Some(self.attempts.clone()),
        };
        let guard = self.in_flight.add(
            row.lease,
            InFlightAttempt {
                job_id: row.id,
                kind: kind.kind,
                suspect: row.is_suspect(),
                cancellation: attempt.cancellation.clone(),
                progress: attempt.progress.clone(),
            },
        );
        if row.is_suspect() && !is_alone {
            return Some(HeldSuspect::new(row, attempt, guard));
        }
        (kind.deliver)(row, attempt, guard);
        None
    }
}
