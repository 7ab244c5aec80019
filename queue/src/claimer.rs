//! The process's one claimer: it asks for as much as is free whenever something is, and hands out what comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::attempt::{Attempt, Progress, Saves};
use crate::claim::{Brought, Claim, Claimed, PRIORITIES, Wanted, claim};
use crate::held::{Held, HeldAttempt};
use crate::job::Policy;
use crate::registry::Deliver;
use crate::worker::WorkerOptions;

/// A claim that is not answered in this time is given up; the heartbeat releases what it took after all.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a claim that failed, and between two tries to listen.
pub(crate) const DATABASE_RETRY: Duration = Duration::from_secs(1);

/// Pause after another process was met that claims for groups: such a claim takes about a millisecond.
const GROUPS_RETRY: Duration = Duration::from_millis(20);

/// How long claims of a backlog go on from where the last one ended before one looks from the start again.
const GO_ON: Duration = Duration::from_millis(250);

/// Most jobs of a kind in one claim of a backlog, and never more than half of its slots. What a claim brought is run and its
/// ends are written while the next claim is made; if all slots were claimed for at once, claims and ends would wait for each
/// other.
const PORTION: usize = 500;

/// As many are asked for while no backlog is known, and of a kind with few slots always: each claim has a price of its own.
const UNDIVIDED: usize = 32;

/// One kind this process works on.
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
    pub(crate) policy: Policy,
    pub(crate) slots: usize,
    pub(crate) deliver: Deliver,
}

impl Kind {
    /// How many are asked for where `free` slots are free.
    fn portion(&self, free: usize, backlog: bool) -> usize {
        free.min(if backlog { (self.slots / 2).clamp(UNDIVIDED, PORTION) } else { UNDIVIDED })
    }
}

/// Where the claims of a backlog go on.
///
/// What was claimed stays in the index until it is cleaned up, and with an old snapshot about it is not: a claim that starts
/// at the earliest time would walk over all of it, each time. So while claims come back full the next one starts
/// where the last one ended. A job that appears with an earlier time (its producer's transaction took long) waits for the
/// next look from the start, which comes after `GO_ON` or when a claim was not filled.
#[derive(Debug)]
struct Bookmark {
    /// When the last look from the start was answered.
    since: Instant,
    /// How long that took: looks from the start are to be a small part of all.
    took: Duration,
    places: HashMap<&'static str, [Option<DateTime<Utc>>; PRIORITIES]>,
}

/// When the next claim is due, if nothing else asks for one.
enum Next {
    Now,
    Soon,
    Later,
}

pub(crate) struct Claimer {
    /// The program's pool, for the attempts.
    pool: PgPool,
    /// The claims' own connection.
    claims: PgPool,
    id: Uuid,
    name: String,
    kinds: Vec<Kind>,
    held: Arc<Held>,
    /// Fires when there may be work.
    work: Arc<Notify>,
    bookmark: Mutex<Bookmark>,
}

impl Claimer {
    pub(crate) fn new(
        pool: PgPool,
        claims: PgPool,
        id: Uuid,
        name: &str,
        kinds: Vec<Kind>,
        held: &Arc<Held>,
        work: Arc<Notify>,
    ) -> Self {
        let bookmark =
            Mutex::new(Bookmark { since: Instant::now(), took: Duration::ZERO, places: HashMap::new() });
        Self { pool, claims, id, name: name.to_owned(), kinds, held: Arc::clone(held), work, bookmark }
    }

    /// Claims until `stop` fires.
    pub(crate) async fn run(self: Arc<Self>, options: WorkerOptions, stop: CancellationToken) {
        loop {
            // Interest is registered before the look, so that nothing is missed in between.
            let woken = self.work.notified();
            let freed = self.held.freed.notified();
            let wanted = self.wanted();
            let mut pause = options.poll.mul_f64(0.9 + 0.2 * rand::random::<f64>());
            if !wanted.is_empty() {
                match self.claim(&wanted).await {
                    Ok(Next::Now) => pause = Duration::ZERO,
                    Ok(Next::Soon) => pause = GROUPS_RETRY.mul_f64(0.5 + rand::random::<f64>()),
                    Ok(Next::Later) => {}
                    Err(error) => {
                        tracing::warn!(%error, "no claim; will try again");
                        pause = DATABASE_RETRY;
                    }
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = woken => {}
                () = freed => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        let mut bookmark = self.bookmark.lock().unwrap_or_else(PoisonError::into_inner);
        if bookmark.since.elapsed() > GO_ON.max(bookmark.took * 10) {
            bookmark.places.clear();
        }
        self.kinds
            .iter()
            .map(|kind| {
                let free = kind.slots.saturating_sub(self.held.count(kind.kind));
                // A claim that was filled left a place.
                let place = bookmark.places.get(kind.kind);
                let portion = kind.portion(free, place.is_some());
                Wanted {
                    kind: kind.kind,
                    queue: kind.policy.queue,
                    free: portion,
                    more: portion < free,
                    group_limit: kind.policy.group_limit,
                    breaker: kind.policy.breaker.is_some(),
                    from: place.copied().unwrap_or_default(),
                }
            })
            .filter(|wanted| wanted.free > 0)
            .collect()
    }

    /// Claims and delivers.
    async fn claim(&self, wanted: &[Wanted]) -> Result<Next, sqlx::Error> {
        let begun = Instant::now();
        let in_flight = self.held.begin_claim();
        let details =
            Claim { worker_id: self.id, worker: &self.name, may_take_suspect: !self.held.has_suspect() };
        let mut connection = self.claims.acquire().await?;
        let answer = tokio::time::timeout(CLAIM_TIMEOUT, claim(&mut connection, wanted, details)).await;
        let Ok(answer) = answer else {
            // A connection that does not answer would not answer the pool either, which has no other.
            connection.close_on_drop();
            return Err(sqlx::Error::PoolTimedOut);
        };
        let Brought { rows, left_out } = answer?;
        let again = self.mark(wanted, &rows, begun.elapsed());
        for row in rows {
            self.deliver(row);
        }
        drop(in_flight); // every row is held by now
        Ok(match (again, left_out) {
            (true, _) => Next::Now,
            (false, true) => Next::Soon,
            (false, false) => Next::Later,
        })
    }

    /// Notes where the next claim of a backlog goes on: a kind that was not filled starts anew. True where there may be more for
    /// slots that are free: before the place where a look began that did not fill its kind, or behind one that did and
    /// asked for a part of what is free.
    fn mark(&self, wanted: &[Wanted], rows: &[Claimed], took: Duration) -> bool {
        let mut again = false;
        let mut bookmark = self.bookmark.lock().unwrap_or_else(PoisonError::into_inner);
        for wanted in wanted {
            let claimed = || rows.iter().filter(|row| row.kind == wanted.kind);
            if wanted.from == <[_; PRIORITIES]>::default() {
                (bookmark.since, bookmark.took) = (Instant::now(), took);
            }
            if claimed().count() < wanted.free {
                again |= bookmark.places.remove(wanted.kind).is_some();
                continue;
            }
            again |= wanted.more;
            let places = bookmark.places.entry(wanted.kind).or_default();
            for row in claimed().filter(|row| row.crashes == 0) {
                let place = usize::try_from(row.priority - 1).ok().and_then(|lane| places.get_mut(lane));
                if let Some(place) = place {
                    *place = (*place).max(Some(row.run_at));
                }
            }
        }
        again
    }

    fn deliver(&self, mut row: Claimed) {
        let Some(kind) = self.kinds.iter().find(|kind| kind.kind == row.kind) else { return };
        let attempt = Attempt {
            job_id: row.id,
            subject: row.subject,
            lease: row.lease,
            number: row.attempt,
            priority: row.priority,
            age_seconds: (row.attempted_at - row.created_at).as_seconds_f64(),
            checkpoint: row.checkpoint.take(),
            cancellation: CancellationToken::new(),
            progress: Progress::default(),
            saves: Saves::default(),
            pool: Some(self.pool.clone()),
        };
        let guard = self.held.hold(
            row.lease,
            HeldAttempt {
                job_id: row.id,
                kind: kind.kind,
                suspect: row.crashes > 0 && row.crashes < row.max_crashes && row.down.is_none(),
                cancellation: attempt.cancellation.clone(),
                progress: attempt.progress.clone(),
            },
        );
        (kind.deliver)(row, attempt, guard);
    }
}
