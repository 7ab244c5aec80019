//! The latest answers to open operators' pages, one per address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::HeaderMap;

/// Oldest answer that is used again: pages show ages in seconds.
const MAX_AGE: Duration = Duration::from_millis(1500);

/// Most addresses with an answer.
const MAX_ADDRESSES: usize = 64;

/// One answer per address.
#[derive(Debug, Default)]
pub(super) struct Renders(Mutex<HashMap<String, Arc<Slot>>>);

/// The lock is held while the page is rendered; other tabs wait for the answer.
pub(super) type Slot = tokio::sync::Mutex<Kept>;

/// What an address was answered last.
#[derive(Debug, Default)]
pub(super) enum Kept {
    #[default]
    Nothing,
    Answer(Rendered),
    /// The answer came from the server's trouble, at this time.
    Failure(Instant),
}

/// An answer with status 200.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Version of the queue before the page read it.
    pub(super) version: u64,
    /// When it was begun.
    pub(super) at: Instant,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Renders {
    /// The address's slot. `None` while too many addresses are in use.
    pub(super) fn slot(&self, address: &str) -> Option<Arc<Slot>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(address) {
            return Some(Arc::clone(slot));
        }
        if slots.len() >= MAX_ADDRESSES {
            slots.retain(|_, slot| slot.try_lock().map_or(true, |kept| kept.is_young()));
        }
        (slots.len() < MAX_ADDRESSES).then(|| Arc::clone(slots.entry(address.to_owned()).or_default()))
    }
}

impl Kept {
    /// True while it may be used again.
    pub(super) fn is_young(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Answer(Rendered { at, .. }) | Self::Failure(at) => at.elapsed() < MAX_AGE,
        }
    }
}
