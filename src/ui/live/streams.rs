//! The open streams, shared by the hub and the poller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::queue_state::QueueState;
use super::renders::Renders;
use super::subscriber::Subscriber;
use crate::api::Authenticator;

/// The open streams, and what the poller works with.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pool: PgPool,
    pub(super) authenticator: Authenticator,
    pub(super) stop: CancellationToken,
    pub(super) streams: Mutex<Streams>,
    pub(super) renders: Renders,
}

/// The streams by number.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) open: HashMap<u64, Subscriber>,
    /// True while the poller runs.
    pub(super) is_polled: bool,
    /// Number of the next stream.
    pub(super) next: u64,
    /// What the poller last read of the queue.
    pub(super) queue: Option<Arc<QueueState>>,
    /// Grows whenever the queue changes. Starts at random, so that no page of another process has it by chance.
    pub(super) version: u64,
}

impl Streams {
    /// Keeps what was read. Returns the version.
    pub(super) fn keep(&mut self, read: Arc<QueueState>) -> u64 {
        if self.queue.as_ref().is_none_or(|before| before.differs(&read)) {
            self.version += 1;
        }
        self.queue = Some(read);
        self.version
    }
}

impl Shared {
    pub(super) fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
