//! What all attempts of one worker process share.

use std::time::Duration;

use super::end_batcher::EndBatcher;
use crate::enqueue::queue::Queue;

/// What all attempts of one worker process share.
#[derive(Debug)]
pub(crate) struct WorkerShared {
    pub(crate) queue: Queue,
    /// Writes the ends of plain attempts.
    pub(crate) end_batcher: EndBatcher,
    /// Begins a transaction that the server ends when we go idle in it. A process that is stopped inside a transaction
    /// would keep its job's row locked, and a locked row cannot be rescued.
    pub(super) begin: String,
}

impl WorkerShared {
    pub(crate) fn new(queue: Queue, dead_after: Duration) -> Self {
        let begin = format!(
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = {} -- settle::begin",
            (dead_after / 2).as_millis()
        );
        Self { queue, end_batcher: EndBatcher::default(), begin }
    }
}
