//! What happened so far.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::watch;

use crate::Request;
use crate::delivery::Connection;

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
    pub(crate) under_way: usize,
    pub(crate) most_at_once: usize,
}

/// A request that is being answered, until its last byte is on its way or this is dropped.
pub(crate) struct UnderWay<'a> {
    ledger: &'a Ledger,
    path: String,
    over: bool,
}

/// What bytes are, to whom counts them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Of the body, not of what frames it.
    pub(crate) is_body: bool,
    /// Nothing follows them.
    pub(crate) is_last: bool,
}

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
        let path = request.path().to_owned();
        self.note(|entries| {
            entries.requests.push(request);
            entries.under_way += 1;
            entries.most_at_once = entries.most_at_once.max(entries.under_way);
        });
        UnderWay { ledger: self, path, over: false }
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

impl UnderWay<'_> {
    /// Hands bytes to the system and writes that down in one step: whoever has received something finds it here.
    pub(crate) async fn write(
        &mut self,
        connection: &mut Connection,
        mut bytes: &[u8],
        what: Written,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| {
                let mut entries = self.ledger.entries();
                let polled = Pin::new(&mut *connection).poll_write(context, bytes);
                if let Poll::Ready(Ok(written)) = polled {
                    if what.is_body {
                        entries.count(&self.path, written);
                    }
                    if what.is_last && written == bytes.len() {
                        entries.under_way -= 1;
                        self.over = true;
                    }
                }
                polled
            })
            .await?;
            self.ledger.changed.send_replace(());
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// The answer was broken off, as scripted.
    pub(crate) fn broken_off(self) {
        self.ledger.note(|entries| *entries.broken_off.entry(self.path.clone()).or_default() += 1);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.ledger.note(|entries| entries.under_way -= 1);
        }
    }
}

impl Entries {
    fn count(&mut self, path: &str, bytes: usize) {
        match self.sent.get_mut(path) {
            Some(sent) => *sent += bytes as u64,
            None => {
                self.sent.insert(path.to_owned(), bytes as u64);
            }
        }
    }
}
