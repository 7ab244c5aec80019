//! The worker process: one claimer feeds the typed apalis workers; a heartbeat thread vouches for what they hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::attempt::{Attempt, Progress};
use crate::claim::{Claimed, Wanted, claim};
use crate::heartbeat::Heartbeat;
use crate::held::{Held, HeldAttempt};
use crate::queue::{CANCELLED, CHANNEL, Queue};
use crate::registry::{Deliver, Registry};

/// A claim that is not answered in this time is given up; the heartbeat releases what it took after all.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a claim that failed, and between two tries to listen.
const DATABASE_RETRY: Duration = Duration::from_secs(1);

/// How long cancelled attempts get to let go.
const LET_GO: Duration = Duration::from_secs(5);

/// How a worker process works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// For people: `host:pid`.
    pub name: String,
    /// Attempts at a time, per kind. A kind that is missing or 0 is left to other processes.
    pub slots: BTreeMap<String, usize>,
    /// Time between two heartbeats.
    pub beat: Duration,
    /// A worker whose beat counter did not move for this long is dead.
    pub dead_after: Duration,
    /// Time between two looks for work where no wake-up arrives.
    pub poll: Duration,
    /// How long running attempts may go on after a stop was asked for.
    pub drain: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: format!("worker:{}", std::process::id()),
            slots: BTreeMap::new(),
            beat: Duration::from_secs(3),
            dead_after: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            drain: Duration::from_secs(30),
        }
    }
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Slots name a kind that is not registered.
    #[error("slots are set for `{0}`, which is no kind this program knows; known kinds: {1}")]
    UnknownKind(String, String),
    /// The heartbeat thread could not be started.
    #[error("the heartbeat thread could not be started: {0}")]
    Heartbeat(std::io::Error),
    /// A part that runs as long as the process does has ended: a bug, and the process is better started anew.
    #[error("{0} ended by itself; what this worker held is given back")]
    Ended(&'static str),
}

/// Claims and runs jobs until `stop` fires, then drains: running attempts get `drain`, the rest is released. It never
/// ends because of the database.
///
/// # Errors
/// At start, where it is configured wrongly; later only where a part of it ended by a bug.
pub async fn run_worker<C: Clone + Send + Sync + 'static>(
    queue: Queue,
    registry: Registry<C>,
    options: WorkerOptions,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let mut kinds = Vec::new();
    let mut workers = JoinSet::new();
    let name: Arc<str> = options.name.as_str().into();
    for (kind, slots) in &options.slots {
        let Some(kind) = registry.kind(kind) else {
            return Err(WorkerError::UnknownKind(kind.clone(), registry.kinds().join(", ")));
        };
        if *slots == 0 {
            continue;
        }
        if let Some(started) = registry.start(kind, &queue, &name, *slots) {
            workers.spawn(started.worker);
            kinds.push(Kind { kind, slots: *slots, deliver: started.deliver });
        }
    }
    let held = Arc::new(Held::default());
    let work = Arc::new(Notify::new());
    let id = Uuid::new_v4();
    let heartbeat =
        Heartbeat::start(queue.pool().connect_options().as_ref().clone(), id, &options, &held, &work)
            .map_err(WorkerError::Heartbeat)?;
    let listener = tokio::spawn(listen(queue.clone(), Arc::clone(&work), heartbeat.look_now()));
    tracing::info!(worker = %options.name, id = %id, kinds = ?options.slots, "worker started");

    let claimer = Claimer { queue, id, name, kinds, held: Arc::clone(&held), work };
    let outcome = tokio::select! {
        biased;
        () = claimer.run(&options, &stop) => Ok(()),
        Some(_) = workers.join_next() => Err(WorkerError::Ended("the worker of a kind")),
        () = heartbeat.ended() => Err(WorkerError::Ended("the heartbeat thread")),
    };

    listener.abort();
    tracing::info!("draining: no more claims");
    drain(&held, options.drain).await;
    drop(claimer); // the apalis workers end when nothing can be delivered to them any more
    let ended = tokio::time::timeout(LET_GO, async { while workers.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!("some handlers do not let go; the process ends without them");
    }
    heartbeat.stop().await;
    tracing::info!("worker stopped");
    outcome
}

/// Waits for running attempts up to `limit`, then releases the rest.
async fn drain(held: &Held, limit: Duration) {
    if tokio::time::timeout(limit, until_empty(held)).await.is_ok() {
        return;
    }
    let rest = held.snapshot();
    tracing::info!(attempts = rest.len(), "drain deadline: releasing");
    for attempt in rest.values() {
        attempt.cancellation.cancel();
    }
    let _ = tokio::time::timeout(LET_GO, until_empty(held)).await;
}

async fn until_empty(held: &Held) {
    loop {
        let freed = held.freed.notified();
        if held.is_empty() {
            return;
        }
        freed.await;
    }
}

/// Listens for wake-ups; polling covers for every one that is lost.
async fn listen(queue: Queue, work: Arc<Notify>, look_now: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&queue, &work, &look_now).await {
            tracing::debug!(%error, "not listening; polling goes on");
        }
        tokio::time::sleep(DATABASE_RETRY).await;
    }
}

async fn listen_once(queue: &Queue, work: &Notify, look_now: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(queue.pool()).await?;
    listener.listen(CHANNEL).await?;
    loop {
        work.notify_one(); // what was sent before we listened
        // None: the connection was lost and is made again at the next call.
        while let Some(notification) = listener.try_recv().await? {
            if notification.payload() == CANCELLED {
                look_now.notify_one();
            } else {
                work.notify_one();
            }
        }
    }
}

struct Kind {
    kind: &'static str,
    slots: usize,
    deliver: Deliver,
}

struct Claimer {
    queue: Queue,
    id: Uuid,
    name: Arc<str>,
    kinds: Vec<Kind>,
    held: Arc<Held>,
    /// Fires when there may be work.
    work: Arc<Notify>,
}

impl Claimer {
    async fn run(&self, options: &WorkerOptions, stop: &CancellationToken) {
        loop {
            // Interest is registered before the look, so that nothing is missed in between.
            let work = Arc::clone(&self.work);
            let woken = work.notified();
            let held = Arc::clone(&self.held);
            let freed = held.freed.notified();
            let wanted = self.wanted();
            let mut pause = options.poll.mul_f64(0.9 + 0.2 * rand::random::<f64>());
            if !wanted.is_empty()
                && let Err(error) = self.claim(&wanted).await
            {
                tracing::warn!(%error, "no claim; will try again");
                pause = DATABASE_RETRY;
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
        self.kinds
            .iter()
            .map(|kind| Wanted {
                kind: kind.kind,
                free: kind.slots.saturating_sub(self.held.count(kind.kind)),
            })
            .filter(|wanted| wanted.free > 0)
            .collect()
    }

    /// Claims and delivers.
    async fn claim(&self, wanted: &[Wanted]) -> Result<(), sqlx::Error> {
        let in_flight = self.held.begin_claim();
        let may_take_suspect = !self.held.has_suspect();
        let claim = claim(self.queue.pool(), wanted, self.id, &self.name, may_take_suspect);
        let rows =
            tokio::time::timeout(CLAIM_TIMEOUT, claim).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        for row in rows {
            self.deliver(row);
        }
        drop(in_flight); // every row is held by now
        Ok(())
    }

    fn deliver(&self, row: Claimed) {
        let Some(kind) = self.kinds.iter().find(|kind| kind.kind == row.kind) else { return };
        let attempt = Attempt {
            job_id: row.id,
            subject: row.subject,
            lease: row.lease,
            number: row.attempt,
            age_seconds: row.age_seconds,
            checkpoint: row.checkpoint.clone(),
            cancellation: CancellationToken::new(),
            progress: Progress::default(),
            pool: Some(self.queue.pool().clone()),
        };
        let guard = self.held.hold(
            row.lease,
            HeldAttempt {
                job_id: row.id,
                kind: kind.kind,
                suspect: row.crashes > 0 && row.crashes < row.max_crashes,
                cancellation: attempt.cancellation.clone(),
                progress: attempt.progress.clone(),
            },
        );
        (kind.deliver)(row, attempt, guard);
    }
}
