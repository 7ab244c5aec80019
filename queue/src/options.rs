//! Settings of a worker process.

use std::collections::BTreeMap;
use std::time::Duration;

/// Settings of a worker process.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Name shown to people: `host:pid`.
    pub name: String,
    /// Concurrent attempts per kind. This worker ignores kinds that are missing or 0.
    pub slots: BTreeMap<String, usize>,
    /// Time between two heartbeats.
    pub beat: Duration,
    /// A worker whose beat counter stands still this long is dead.
    pub dead_after: Duration,
    /// Time between two polls when no wake-up arrives.
    pub poll: Duration,
    /// How long running attempts may continue after a stop.
    pub drain: Duration,
    /// Longest time of one short transaction around an attempt, hooks included. Its statements get two thirds of it, and
    /// wait a sixth of it for a lock.
    pub step_timeout: Duration,
    /// How long a busy worker starts nothing else, at least, so that a suspect can run alone. Afterwards it works nineteen
    /// times as long without suspects.
    pub suspect_patience: Duration,
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
            step_timeout: Duration::from_secs(30),
            suspect_patience: Duration::from_secs(30),
        }
    }
}
