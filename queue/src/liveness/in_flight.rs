//! The attempts in flight in this process, shared by the claimer, the handlers and the heartbeat thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::job::progress::Progress;

/// One attempt in flight.
#[derive(Debug, Clone)]
pub(crate) struct InFlightAttempt {
    pub(crate) job_id: Uuid,
    pub(crate) kind: &'static str,
    /// A job that must run alone: at most one per process.
    pub(crate) suspect: bool,
    pub(crate) cancellation: CancellationToken,
    pub(crate) progress: Progress,
}

/// All attempts in flight in this process, by lease.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    attempts: Mutex<HashMap<Uuid, InFlightAttempt>>,
    claims_begun: AtomicU64,
    claims_ended: AtomicU64,
    suspected_rows: AtomicU64,
    /// Fires when a slot becomes free.
    pub(crate) slot_freed: Notify,
}

impl InFlight {
    fn attempts(&self) -> MutexGuard<'_, HashMap<Uuid, InFlightAttempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an attempt, until the guard is dropped.
    pub(crate) fn add(self: &Arc<Self>, lease: Uuid, attempt: InFlightAttempt) -> SlotGuard {
        self.attempts().insert(lease, attempt);
        SlotGuard { in_flight: Some(Arc::clone(self)), lease }
    }

    /// Releases all of them at once, so that one claim fills all their slots.
    pub(crate) fn release_all(guards: Vec<SlotGuard>) {
        let mut guards = guards.into_iter();
        let first = guards.as_slice().first().and_then(|guard| guard.in_flight.clone());
        let Some(in_flight) = first else { return };
        let mut attempts = in_flight.attempts();
        for guard in &mut guards {
            attempts.remove(&guard.lease);
            drop(guard.disarm());
        }
        drop(attempts);
        in_flight.slot_freed.notify_one();
    }

    pub(crate) fn snapshot(&self) -> HashMap<Uuid, InFlightAttempt> {
        self.attempts().clone()
    }

    pub(crate) fn contains(&self, lease: Uuid) -> bool {
        self.attempts().contains_key(&lease)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.attempts().is_empty()
    }

    /// A row may run under this process that is not in flight: the heartbeat looks for it.
    pub(crate) fn suspect_rows(&self) {
        self.suspected_rows.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn len(&self) -> usize {
        self.attempts().len()
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.attempts().values().filter(|attempt| attempt.kind == kind).count()
    }

    pub(crate) fn has_suspect(&self) -> bool {
        self.attempts().values().any(|attempt| attempt.suspect)
    }

    /// A claim is about to be sent. It ends when the guard is dropped, after its rows were added.
    pub(crate) fn begin_claim(self: &Arc<Self>) -> ClaimGuard {
        self.claims_begun.fetch_add(1, Ordering::SeqCst);
        ClaimGuard { in_flight: Arc::clone(self), is_answered: false }
    }

    /// How often rows were suspected to run under this process without being in flight: claims without an answer, and
    /// attempts whose end was not written.
    pub(crate) fn suspected_rows(&self) -> u64 {
        self.suspected_rows.load(Ordering::SeqCst)
    }

    /// Number of claims begun. Read it, then see a row running under this process. If the row is still not in
    /// flight once that many claims have ended, its claim's answer was lost.
    pub(crate) fn claims_begun(&self) -> u64 {
        self.claims_begun.load(Ordering::SeqCst)
    }

    pub(crate) fn claims_ended(&self) -> u64 {
        self.claims_ended.load(Ordering::SeqCst)
    }
}

/// Frees the attempt's slot when dropped.
#[derive(Debug)]
pub(crate) struct SlotGuard {
    /// None once it is disarmed.
    in_flight: Option<Arc<InFlight>>,
    lease: Uuid,
}

impl SlotGuard {
    /// Frees the slot of an attempt whose end was not written.
    pub(crate) fn abandon(self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.suspect_rows();
        }
    }

    fn disarm(mut self) -> Option<Arc<InFlight>> {
        self.in_flight.take()
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.attempts().remove(&self.lease);
            in_flight.slot_freed.notify_one();
        }
    }
}

/// One pending claim. Claims are sent one after another, so the counters identify which have ended.
#[derive(Debug)]
pub(crate) struct ClaimGuard {
    in_flight: Arc<InFlight>,
    is_answered: bool,
}

impl ClaimGuard {
    /// Ends the claim: its answer arrived, and every row of it is in flight.
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        if !self.is_answered {
            self.in_flight.suspect_rows();
        }
        self.in_flight.claims_ended.fetch_add(1, Ordering::SeqCst);
    }
}
