//! All open streams of this process.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::sse::Event;
use futures::{Stream, StreamExt, stream};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::changes::signal;
use super::poller;
use super::streams::Shared;
use super::subscriber::Subscriber;
use super::topic::Topics;
use crate::api::Authenticator;
use crate::api::auth::sessions::SessionId;
use crate::api::limits::StreamSlot;
use crate::ui::session::Session;

/// After this time without an event a comment is sent, so that proxies keep the connection.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Longest stream. Browsers then connect again.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Events that wait for a slow client. Its stream ends when there are more, and it connects again.
const MAX_WAITING: usize = 256;

/// All open streams of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub(Arc<Shared>);

impl Hub {
    /// Without streams it does nothing. Streams end when `stop` fires.
    pub(crate) fn new(pool: PgPool, authenticator: Authenticator, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared { pool, authenticator, stop, streams: Mutex::default() }))
    }

    /// Opens a stream, which counts by its slot, and starts the poller if it does not run.
    pub(super) fn subscribe(
        &self,
        session: Session,
        topics: Topics,
        slot: StreamSlot,
    ) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let subscriber = Subscriber::new(session.id, session.caller.user_id, topics, sender);
        let mut streams = self.0.streams();
        let number = streams.next;
        streams.next += 1;
        streams.open.insert(number, subscriber);
        if !streams.is_polled {
            streams.is_polled = true;
            tokio::spawn(poller::run(Arc::clone(&self.0)));
        }
        drop(streams);
        let open = OpenStream { shared: Arc::clone(&self.0), number, receiver, _slot: slot };
        let stop = self.0.stop.clone();
        let ended = async move {
            tokio::select! { () = sleep(MAX_DURATION) => {}, () = stop.cancelled() => {} }
        };
        stream::unfold(open, |mut open| async move {
            let event = open.receiver.recv().await?;
            Some((Ok(event), open))
        })
        .take_until(Box::pin(ended))
    }

    /// Ends the streams of a session. Its other tabs reload first, which leads them to the sign-in page.
    pub(crate) fn end_session(&self, id: SessionId) {
        self.0.streams().open.retain(|_, subscriber| {
            if subscriber.session != id {
                return true;
            }
            // A stream too slow for the event ends, too. Its tab connects again and is refused.
            let _ = subscriber.sender.try_send(signal("signed-out"));
            false
        });
    }
}

/// The client's end of a stream. It leaves the hub when it is dropped.
struct OpenStream {
    shared: Arc<Shared>,
    number: u64,
    receiver: mpsc::Receiver<Event>,
    _slot: StreamSlot,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.shared.streams().open.remove(&self.number);
    }
}
