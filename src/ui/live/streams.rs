//! The open streams, shared by the hub and the poller.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::subscriber::Subscriber;
use crate::api::Authenticator;

/// The open streams, and what the poller works with.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pool: PgPool,
    pub(super) authenticator: Authenticator,
    pub(super) stop: CancellationToken,
    pub(super) streams: Mutex<Streams>,
}

/// The streams by number.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) open: HashMap<u64, Subscriber>,
    /// True while the poller runs.
    pub(super) is_polled: bool,
    /// Number of the next stream.
    pub(super) next: u64,
}

impl Shared {
    pub(super) fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
