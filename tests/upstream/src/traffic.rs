//! Records requests, connections and sent bytes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::watch;

use crate::request::Request;
use crate::transport::Connection;

/// Longest wait for an event before a test fails.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct TrafficLog {
    traffic: Mutex<Traffic>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: Vec<Request>,
    /// Body bytes by path.
    pub(crate) body_bytes: HashMap<String, u64>,
    /// Replies cut short on purpose, by path.
    pub(crate) aborts: HashMap<String, usize>,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) max_in_flight: usize,
}

/// A request in flight: until its last byte is handed to the system, or until this is dropped.
pub(crate) struct InFlight<'a> {
    log: &'a TrafficLog,
    path: String,
    is_over: bool,
}

/// What the log needs to know about written bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteKind {
    /// Part of the body, not of its framing.
    pub(crate) is_body: bool,
    /// The reply ends here.
    pub(crate) is_last: bool,
}

impl Default for TrafficLog {
    fn default() -> Self {
        Self { traffic: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl TrafficLog {
    pub(crate) fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Traffic) -> T) -> T {
        let value = change(&mut self.traffic());
        self.changed.send_replace(());
        value
    }

    pub(crate) fn begin(&self, request: Request) -> InFlight<'_> {
        let path = request.path().to_owned();
        self.update(|traffic| {
            traffic.requests.push(request);
            traffic.in_flight += 1;
            traffic.max_in_flight = traffic.max_in_flight.max(traffic.in_flight);
        });
        InFlight { log: self, path, is_over: false }
    }

    /// Waits for `condition`.
    ///
    /// # Panics
    /// After 30 s, with `what`.
    pub(crate) async fn wait_until(&self, what: &str, condition: impl Fn(&Traffic) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !condition(&self.traffic()) {
                changed.changed().await.expect("the log outlives its readers");
            }
        };
        if tokio::time::timeout(WAIT_TIMEOUT, wait).await.is_err() {
            panic!("waited {} s for {what}", WAIT_TIMEOUT.as_secs());
        }
    }
}

impl InFlight<'_> {
    /// Hands bytes to the system and records them under one lock: a client that received bytes finds them in
    /// the log.
    pub(crate) async fn write(
        &mut self,
        connection: &mut Connection,
        mut bytes: &[u8],
        kind: WriteKind,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| {
                let mut traffic = self.log.traffic();
                let polled = Pin::new(&mut *connection).poll_write(context, bytes);
                if let Poll::Ready(Ok(written)) = polled {
                    if kind.is_body {
                        traffic.count_body_bytes(&self.path, written);
                    }
                    if kind.is_last && written == bytes.len() {
                        traffic.in_flight -= 1;
                        self.is_over = true;
                    }
                }
                polled
            })
            .await?;
            self.log.changed.send_replace(());
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Records that the reply was cut short on purpose.
    pub(crate) fn record_abort(self) {
        self.log.update(|traffic| *traffic.aborts.entry(self.path.clone()).or_default() += 1);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.log.update(|traffic| traffic.in_flight -= 1);
        }
    }
}

impl Traffic {
    fn count_body_bytes(&mut self, path: &str, count: usize) {
        match self.body_bytes.get_mut(path) {
            Some(total) => *total += count as u64,
            None => {
                self.body_bytes.insert(path.to_owned(), count as u64);
            }
        }
    }
}
