//! What the live updates know of the queue.

use std::collections::HashMap;

use bedel_queue::{Pulse, WatchedJob};
use uuid::Uuid;

/// What the poller reads of the queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct QueueState {
    pub(super) pulse: Pulse,
    /// The jobs that open pages show.
    pub(super) jobs: HashMap<Uuid, WatchedJob>,
}
