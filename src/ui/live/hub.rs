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
use super::renders::Renders;
use super::streams::{Shared, Streams};
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
        let streams = Streams { version: rand::random::<u32>().into(), ..Streams::default() };
        let (streams, renders) = (Mutex::new(streams), Renders::default());
        Self(Arc::new(Shared { pool, authenticator, stop, streams, renders }))
    }

    /// Opens a stream, which counts by its slot, and starts the poller if it does not run. `version`: of the queue, when the
    /// page was made.
    pub(super) fn subscribe(
        &self,
        session: Session,
        topics: Topics,
        version: Option<u64>,
        slot: StreamSlot,
    ) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let subscriber = Subscriber::new(session, topics, version, sender);
        let mut streams = self.0.streams();
        let number = streams.next;
        streams.next += 1;
        streams.open.insert(number, subscriber);
        if !streams.is_polled {
            streams.is_polled = true;
            streams.version += 1;
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

    /// The version of what the poller last read of the queue.
    pub(crate) fn version(&self) -> u64 {
        self.0.streams().version
    }

    /// The session, if one of its tabs follows the queue: an admin's, which was live some seconds ago.
    pub(super) fn follower(&self, id: SessionId) -> Option<Session> {
        let streams = self.0.streams();
        let mut open = streams.open.values();
        open.find(|one| one.session.id == id && one.topics.follows_queue()).map(|one| one.session)
    }

    /// What is rendered for all tabs.
    pub(super) fn renders(&self) -> &Renders {
        &self.0.renders
    }

    /// Ends the streams of a session. Its tabs get an event first, so that they reload and land on the
    /// sign-in page.
    pub(crate) fn end_session(&self, id: SessionId) {
        self.0.streams().open.retain(|_, subscriber| {
            if subscriber.session.id != id {
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
