//! This worker among the others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use uuid::Uuid;

/// How many workers claim because of a few new jobs, on average. The rest would find nothing.
const WOKEN: usize = 8;

/// This worker among the others.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Fresh at each process start.
    pub(crate) id: Uuid,
    /// Shown to people.
    pub(crate) name: String,
    workers: AtomicUsize,
    hears_wake_ups: AtomicBool,
}

impl Fleet {
    pub(crate) fn new(id: Uuid, name: String) -> Self {
        Self { id, name, workers: AtomicUsize::new(0), hears_wake_ups: AtomicBool::new(false) }
    }

    /// Sets the number of workers, roughly.
    pub(crate) fn set_workers(&self, workers: usize) {
        self.workers.store(workers, Ordering::Relaxed);
    }

    /// True if a few new jobs wake every worker.
    pub(crate) fn is_small(&self) -> bool {
        self.workers.load(Ordering::Relaxed) <= WOKEN
    }

    /// True if this worker is among the few that a few new jobs wake this time.
    pub(crate) fn is_chosen(&self) -> bool {
        let workers = self.workers.load(Ordering::Relaxed);
        workers <= WOKEN || rand::random_range(0..workers) < WOKEN
    }

    pub(crate) fn set_hears_wake_ups(&self, hears: bool) {
        self.hears_wake_ups.store(hears, Ordering::Relaxed);
    }

    /// True while this worker listens.
    pub(crate) fn hears_wake_ups(&self) -> bool {
        self.hears_wake_ups.load(Ordering::Relaxed)
    }
}
