//! What the live updates know of the queue.

use std::collections::HashMap;

use bedel_queue::{Pulse, WatchedJob};
use uuid::Uuid;

/// What the poller reads of the queue.
#[derive(Debug)]
pub(super) struct QueueState {
    pub(super) pulse: Pulse,
    /// The jobs that open pages show.
    pub(super) jobs: HashMap<Uuid, WatchedJob>,
}

impl QueueState {
    /// True if the queue, or a job that both have, looks different. Which jobs are followed says nothing of the queue.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.pulse != other.pulse
            || self.jobs.iter().any(|(id, job)| other.jobs.get(id).is_some_and(|now| now != job))
    }
}
