//! What happened so far.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::Request;

/// A test that waits longer for something to happen has failed.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Ledger {
    entries: Mutex<Entries>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) requests: Vec<Request>,
    /// Bytes of bodies, by path.
    pub(crate) sent: HashMap<String, u64>,
    /// Answers that were broken off as scripted, by path.
    pub(crate) broken_off: HashMap<String, usize>,
    pub(crate) connections: usize,
    under_way: usize,
    pub(crate) most_at_once: usize,
}

/// A request that is being answered; it ends when this is dropped.
pub(crate) struct UnderWay<'a>(&'a Ledger);

impl Default for Ledger {
    fn default() -> Self {
        Self { entries: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Ledger {
    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note<T>(&self, write: impl FnOnce(&mut Entries) -> T) -> T {
        let noted = write(&mut self.entries());
        self.changed.send_replace(());
        noted
    }

    pub(crate) fn begin(&self, request: Request) -> UnderWay<'_> {
        self.note(|entries| {
            entries.requests.push(request);
            entries.under_way += 1;
            entries.most_at_once = entries.most_at_once.max(entries.under_way);
        });
        UnderWay(self)
    }

    /// Waits until it is so.
    ///
    /// # Panics
    /// After 30 s, saying what was waited for.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&Entries) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !reached(&self.entries()) {
                changed.changed().await.expect("the ledger outlives its readers");
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("waited {} s for {what}", PATIENCE.as_secs());
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.note(|entries| entries.under_way -= 1);
    }
}
