//! Runs a worker process: one claimer feeds the typed apalis workers, and a heartbeat thread keeps their
//! attempts alive.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::claimer::{Claimer, Kind};
use super::error::WorkerError;
use super::listener::Listener;
use super::registry::Registry;
use crate::dedicated_connection::{STABLE_PLANS, dedicated_connection};
use crate::enqueue::queue::Queue;
use crate::liveness::fleet::Fleet;
use crate::liveness::heartbeat::Heartbeat;
use crate::liveness::in_flight::InFlight;
use crate::options::WorkerOptions;
use crate::settle::worker_shared::WorkerShared;

/// How long cancelled attempts get to stop.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// A listener is checked after this many poll intervals without a notification.
const LISTEN_CHECK_POLLS: u32 = 30;

/// For the claims' connection. If a server crash loses a claim, its job is available again and its lease is
/// worth nothing, so a claim need not wait for the disk.
///
/// A connection that goes silent inside the groups' lock must lose it.
const CLAIM_SETTINGS: [(&str, &str); 2] =
    [("synchronous_commit", "off"), ("idle_in_transaction_session_timeout", "5s")];

/// Claims and runs jobs until `stop` fires, then drains: running attempts get `drain`, the rest is released.
/// It never ends because of the database.
///
/// # Errors
/// At start if the configuration is wrong; later only if a background part ended because of a bug.
pub async fn run_worker<C: Clone + Send + Sync + 'static>(
    queue: Queue,
    registry: Registry<C>,
    options: WorkerOptions,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let mut kinds = Vec::new();
    let mut workers = JoinSet::new();
    let shared = Arc::new(WorkerShared::new(queue.clone(), &options));
    for (kind, slots) in &options.slots {
        let Some(kind) = registry.kind(kind) else {
            return Err(WorkerError::UnknownKind(kind.clone(), registry.kinds().join(", ")));
        };
        if *slots == 0 {
            continue;
        }
        if let (Some(started), Some(policy)) = (registry.start(kind, &shared, *slots), registry.policy(kind))
        {
            if policy.group_limit == Some(0) {
                return Err(WorkerError::ZeroGroupLimit(kind));
            }
            workers.spawn(started.worker);
            kinds.push(Kind { kind, policy, slots: *slots, deliver: started.deliver });
        }
    }
    let in_flight = Arc::new(InFlight::default());
    let work = Arc::new(Notify::new());
    let id = Uuid::new_v4();
    let fleet = Arc::new(Fleet::new(id, options.name.clone()));
    let connect = queue.pool().connect_options().as_ref().clone();
    let heartbeat =
        Heartbeat::start(connect, &fleet, &options, &in_flight, &work).map_err(WorkerError::Heartbeat)?;
    let listener = Listener {
        pool: queue.pool().clone(),
        check_after: options.poll * LISTEN_CHECK_POLLS,
        kinds: kinds.iter().map(|kind| kind.kind).collect(),
        work: Arc::clone(&work),
        beat_now: heartbeat.beat_now(),
        fleet: Arc::clone(&fleet),
    };
    let listener = AbortOnDropHandle::new(tokio::spawn(listener.run()));
    tracing::info!(worker = %options.name, id = %id, kinds = ?options.slots, "worker started");

    let claims =
        dedicated_connection(queue.pool(), "bedel-claims", &[&STABLE_PLANS[..], &CLAIM_SETTINGS].concat());
    let writer = Arc::clone(&shared);
    let mut writer =
        AbortOnDropHandle::new(tokio::spawn(async move { writer.end_batcher.run(&writer.attempts).await }));
    let claimer = Claimer::new(&shared, claims, fleet, kinds, &in_flight, work);
    let claimer = Arc::new(claimer);
    // On its own task: waking a program's main task goes through another thread.
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
    drain(&in_flight, options.drain).await;
    drop(claimer); // the apalis workers end once no more jobs can be delivered to them
    let ended = timeout(CANCEL_TIMEOUT, async { while workers.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!("some handlers do not stop; the process ends without them");
    }
    drop(writer);
    heartbeat.stop().await;
    tracing::info!("worker stopped");
    outcome
}

/// Waits for running attempts up to `deadline`, then releases the rest.
async fn drain(in_flight: &InFlight, deadline: Duration) {
    if timeout(deadline, until_empty(in_flight)).await.is_ok() {
        return;
    }
    let rest = in_flight.snapshot();
    tracing::info!(attempts = rest.len(), "drain deadline: releasing");
    for attempt in rest.values() {
        attempt.cancellation.cancel();
    }
    let _ = timeout(CANCEL_TIMEOUT, until_empty(in_flight)).await;
}

async fn until_empty(in_flight: &InFlight) {
    loop {
        let slot_freed = in_flight.slot_freed.notified();
        if in_flight.is_empty() {
            return;
        }
        slot_freed.await;
    }
}
