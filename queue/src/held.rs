//! The attempts this process holds: shared by the claimer, the handlers and the heartbeat thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::attempt::Progress;

/// One held attempt.
#[derive(Debug, Clone)]
pub(crate) struct HeldAttempt {
    pub(crate) job_id: Uuid,
    pub(crate) kind: &'static str,
    /// A job with a counted crash: never two of them in one process.
    pub(crate) suspect: bool,
    pub(crate) cancellation: CancellationToken,
    pub(crate) progress: Progress,
}

/// All attempts this process holds, by lease.
#[derive(Debug, Default)]
pub(crate) struct Held {
    attempts: Mutex<HashMap<Uuid, HeldAttempt>>,
    claims_begun: AtomicU64,
    claims_ended: AtomicU64,
    /// Fires when an attempt is let go: a slot is free.
    pub(crate) freed: Notify,
}

impl Held {
    fn attempts(&self) -> MutexGuard<'_, HashMap<Uuid, HeldAttempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds an attempt until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>, lease: Uuid, attempt: HeldAttempt) -> HeldGuard {
        self.attempts().insert(lease, attempt);
        HeldGuard { held: Some(Arc::clone(self)), lease }
    }

    /// Lets all of them go at once, so that the slots are claimed for together.
    pub(crate) fn let_go(guards: Vec<HeldGuard>) {
        let mut guards = guards.into_iter();
        let Some(held) = guards.as_slice().first().and_then(|guard| guard.held.clone()) else { return };
        let mut attempts = held.attempts();
        for guard in &mut guards {
            attempts.remove(&guard.lease);
            drop(guard.disarm());
        }
        drop(attempts);
        held.freed.notify_one();
    }

    pub(crate) fn snapshot(&self) -> HashMap<Uuid, HeldAttempt> {
        self.attempts().clone()
    }

    pub(crate) fn contains(&self, lease: Uuid) -> bool {
        self.attempts().contains_key(&lease)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.attempts().is_empty()
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.attempts().values().filter(|attempt| attempt.kind == kind).count()
    }

    pub(crate) fn has_suspect(&self) -> bool {
        self.attempts().values().any(|attempt| attempt.suspect)
    }

    /// A claim is about to be sent. Ends when the guard is dropped, by which time its rows are held.
    pub(crate) fn begin_claim(self: &Arc<Self>) -> ClaimGuard {
        self.claims_begun.fetch_add(1, Ordering::SeqCst);
        ClaimGuard(Arc::clone(self))
    }

    /// How many claims have begun. A row seen running under this process after this was read, which is still not
    /// held once as many claims have ended, belongs to a claim whose answer was lost.
    pub(crate) fn claims_begun(&self) -> u64 {
        self.claims_begun.load(Ordering::SeqCst)
    }

    pub(crate) fn claims_ended(&self) -> u64 {
        self.claims_ended.load(Ordering::SeqCst)
    }
}

/// Lets the attempt go when dropped.
#[derive(Debug)]
pub(crate) struct HeldGuard {
    /// None once it is let go.
    held: Option<Arc<Held>>,
    lease: Uuid,
}

impl HeldGuard {
    fn disarm(mut self) -> Option<Arc<Held>> {
        self.held.take()
    }
}

impl Drop for HeldGuard {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.attempts().remove(&self.lease);
            held.freed.notify_one();
        }
    }
}

/// One claim in flight. Claims are sent one after another, so the counters tell which of them have ended.
#[derive(Debug)]
pub(crate) struct ClaimGuard(Arc<Held>);

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        self.0.claims_ended.fetch_add(1, Ordering::SeqCst);
    }
}
