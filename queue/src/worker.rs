//! The worker process: one claimer feeds the typed apalis workers; a heartbeat thread vouches for what they hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::claimer::{Claimer, DATABASE_RETRY, Kind};
use crate::heartbeat::Heartbeat;
use crate::held::Held;
use crate::own::own_connection;
use crate::queue::{CANCELLED, CHANNEL, Queue};
use crate::registry::Registry;
use crate::settle::Process;

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
    /// A kind's policy lets nothing of a group run.
    #[error(
        "`{0}` has a `group_limit` of 0, so none of its jobs with a group could ever run; pause its queue instead"
    )]
    NoRoom(&'static str),
    /// The database refused what [`drain`](crate::drain()) asked; a worker itself never ends because of it.
    #[error("the database refuses to tell what is left: {0}")]
    Database(sqlx::Error),
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
    let process = Arc::new(Process::new(queue.clone(), options.dead_after));
    for (kind, slots) in &options.slots {
        let Some(kind) = registry.kind(kind) else {
            return Err(WorkerError::UnknownKind(kind.clone(), registry.kinds().join(", ")));
        };
        if *slots == 0 {
            continue;
        }
        if let (Some(started), Some(policy)) = (registry.start(kind, &process, *slots), registry.policy(kind))
        {
            if policy.group_limit == Some(0) {
                return Err(WorkerError::NoRoom(kind));
            }
            workers.spawn(started.worker);
            kinds.push(Kind { kind, policy, slots: *slots, deliver: started.deliver });
        }
    }
    let held = Arc::new(Held::default());
    let work = Arc::new(Notify::new());
    let id = Uuid::new_v4();
    let heartbeat =
        Heartbeat::start(queue.pool().connect_options().as_ref().clone(), id, &options, &held, &work)
            .map_err(WorkerError::Heartbeat)?;
    let listening = listen(queue.clone(), Arc::clone(&work), heartbeat.look_now());
    let listener = AbortOnDropHandle::new(tokio::spawn(listening));
    tracing::info!(worker = %options.name, id = %id, kinds = ?options.slots, "worker started");

    let claims = own_connection(queue.pool(), "bedel-claims", &[&STEADY_PLANS[..], &COMMIT_LATER].concat());
    let ends = own_connection(queue.pool(), "bedel-ends", &[&STEADY_PLANS[..], &WAIT_LITTLE].concat());
    let writer = Arc::clone(&process);
    let mut writer = AbortOnDropHandle::new(tokio::spawn(async move { writer.together.run(&ends).await }));
    let claimer = Claimer::new(queue.pool().clone(), claims, id, options.name.as_str(), kinds, &held, work);
    let claimer = Arc::new(claimer);
    // On a task of its own: a program's main task is woken by way of another thread.
    let claiming = Arc::clone(&claimer).run(options.clone(), stop.clone());
    let mut claiming = AbortOnDropHandle::new(tokio::spawn(claiming));
    let outcome = tokio::select! {
        biased;
        _ = &mut claiming => if stop.is_cancelled() { Ok(()) } else { Err(WorkerError::Ended("the claimer")) },
        Some(_) = workers.join_next() => Err(WorkerError::Ended("the worker of a kind")),
        () = heartbeat.ended() => Err(WorkerError::Ended("the heartbeat thread")),
        _ = &mut writer => Err(WorkerError::Ended("the writer of ends")),
    };
    claiming.abort();
    if !claiming.is_finished() {
        let _ = claiming.await;
    }

    drop(listener);
    tracing::info!("draining: no more claims");
    drain(&held, options.drain).await;
    drop(claimer); // the apalis workers end when nothing can be delivered to them any more
    let ended = tokio::time::timeout(LET_GO, async { while workers.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!("some handlers do not let go; the process ends without them");
    }
    drop(writer);
    heartbeat.stop().await;
    tracing::info!("worker stopped");
    outcome
}

/// For the connections that send the same few statements all day: one plan each, for all values and all sizes of the
/// table, along the indexes. Compiling a plan (`jit`) takes longer than running it.
const STEADY_PLANS: [(&str, &str); 6] = [
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// For the connection of the claims. A claim that is lost with the server harms nobody: its job is available again, and the
/// lease that was handed out guards nothing any more. So nobody waits until it is on disk.
///
/// One that falls silent between taking the groups' lock and its end must not keep that lock.
const COMMIT_LATER: [(&str, &str); 2] =
    [("synchronous_commit", "off"), ("idle_in_transaction_session_timeout", "5s")];

/// For the connection of the ends. A row that somebody else holds is not to hold up all the others.
const WAIT_LITTLE: [(&str, &str); 1] = [("lock_timeout", "1s")];

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
