//! Tells the workers about a change. A lost notification only costs time: workers poll.

use bedel_queue::Queue;

/// There are new or due jobs.
pub(super) async fn wake(queue: &Queue) {
    if let Err(error) = queue.wake_now().await {
        tracing::debug!(%error, "no wake-up sent; workers poll");
    }
}

/// Running jobs were cancelled.
pub(super) async fn cancellation(queue: &Queue) {
    if let Err(error) = queue.announce_cancellation_now().await {
        tracing::debug!(%error, "cancellation not announced; workers notice at their next heartbeat");
    }
}
