//! The server: scripts by path, and the ledger of what was asked and sent.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::{self, End, Wire};
use crate::hls::{self, Hls};
use crate::ledger::{Entries, Ledger};
use crate::request;
use crate::tls::Tls;
use crate::{Canary, Reply, Request, Resource};

/// The server. It ends with the test's runtime, or when it is stopped. Clones are the same server.
#[derive(Debug, Clone)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tls: Option<Tls>,
    scripts: Mutex<HashMap<String, Script>>,
    ledger: Ledger,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a path answers.
#[derive(Debug)]
enum Script {
    /// Each request takes the next one; the last one stays.
    Replies(VecDeque<Reply>),
    /// A file, and how often it was asked for.
    Resource { resource: Resource, asked: usize },
}

impl Script {
    fn next(&mut self, request: &Request) -> Reply {
        match self {
            Self::Resource { resource, asked } => {
                let reply = resource.reply(*asked, request);
                *asked += usize::from(!request.is_head());
                reply
            }
            Self::Replies(replies) if replies.len() > 1 => replies.pop_front().expect("more than one"),
            Self::Replies(replies) => replies.front().cloned().expect("a script has replies"),
        }
    }
}

impl Upstream {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::on_listener(listen().await, None)
    }

    /// As [`Upstream::start`], with TLS. Its certificate is for 127.0.0.1, localhost and `names`, and whoever is to trust
    /// it needs [`Upstream::ca_pem`].
    pub async fn start_tls(names: &[&str]) -> Self {
        Self::on_listener(listen().await, Some(Tls::new(names)))
    }

    /// As [`Upstream::start`], on a port at which a canary listens too.
    pub async fn start_with_canary() -> (Self, Canary) {
        loop {
            let listener = listen().await;
            let port = listener.local_addr().expect("an address").port();
            match Canary::start(port).await {
                Ok(canary) => return (Self::on_listener(listener, None), canary),
                Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => panic!("no canary on 127.0.0.2 and [::1]: {error}"),
            }
        }
    }

    fn on_listener(listener: TcpListener, tls: Option<Tls>) -> Self {
        let address = listener.local_addr().expect("an address");
        let upstream = Self { address, shared: Arc::new(Shared { tls, ..Shared::default() }) };
        let served = upstream.clone();
        let tasks = &upstream.shared.tasks;
        tasks.spawn(async move {
            let stopped = served.shared.stop.clone();
            let _ = stopped.run_until_cancelled(served.accept(listener)).await;
        });
        // Closed means only that a wait for the tasks may end; new ones are still tracked.
        tasks.close();
        upstream
    }

    /// Closes the port and breaks off every connection. Returns when both is done.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.wait().await;
    }

    /// `127.0.0.1:PORT`, as the configuration lists it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A path's URL, with the address in it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The certificate to trust, in PEM.
    ///
    /// # Panics
    /// For an upstream without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.shared.tls.as_ref().expect("an upstream with TLS").ca_pem
    }

    /// Scripts a path (without a query): each request takes the next reply, and the last one stays. A path without a
    /// script answers 404.
    ///
    /// # Panics
    /// Where there are no replies.
    pub fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies: VecDeque<Reply> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "the script of {path} has no replies");
        self.scripts().insert(path.to_owned(), Script::Replies(replies));
    }

    /// Puts a file on a path (without a query), in place of what was there. Its faults count requests from here on.
    pub fn serve(&self, path: &str, resource: Resource) {
        self.scripts().insert(path.to_owned(), Script::Resource { resource, asked: 0 });
    }

    /// Puts every file of a stream into the folder `prefix` (`/lecture.hls`), each as a [`Resource`], and its playlist.
    /// Returns the playlist's URL.
    pub fn serve_hls(&self, prefix: &str, hls: &Hls) -> String {
        for (name, bytes) in hls.files() {
            let file = Resource::new(bytes.clone()).content_type(hls::content_type(name));
            self.serve(&format!("{prefix}/{name}"), file);
        }
        let playlist = format!("{prefix}/{}", hls.playlist_name());
        self.on(&playlist, [hls.playlist().reply()]);
        self.url(&playlist)
    }

    /// Everything that was asked so far, in the order in which it came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.ledger.entries().requests.clone()
    }

    /// What was asked of this path (without a query) so far.
    #[must_use]
    pub fn requests_of(&self, path: &str) -> Vec<Request> {
        let entries = self.shared.ledger.entries();
        entries.requests.iter().filter(|request| request.path() == path).cloned().collect()
    }

    /// Bytes of bodies sent so far in answer to requests for this path (without a query): what was handed to the
    /// system, of which a client that went away may have read less.
    #[must_use]
    pub fn sent(&self, path: &str) -> u64 {
        self.shared.ledger.entries().sent.get(path).copied().unwrap_or(0)
    }

    /// Bytes of bodies sent so far, of all paths.
    #[must_use]
    pub fn sent_total(&self) -> u64 {
        self.shared.ledger.entries().sent.values().sum()
    }

    /// How many answers of this path were broken off so far, as scripted.
    #[must_use]
    pub fn broken_off(&self, path: &str) -> usize {
        self.shared.ledger.entries().broken_off.get(path).copied().unwrap_or(0)
    }

    /// The highest number of requests that were being answered at the same time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.shared.ledger.entries().most_at_once
    }

    /// Connections accepted so far. Fewer than requests where clients keep them.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.ledger.entries().connections
    }

    /// Waits for the `count`th request of this path (without a query).
    ///
    /// # Panics
    /// After 30 s.
    pub async fn until_asked(&self, path: &str, count: usize) {
        let what = format!("request {count} of {path}");
        let asked = |request: &&Request| request.path() == path;
        let reached = |entries: &Entries| entries.requests.iter().filter(asked).count() >= count;
        self.shared.ledger.until(&what, reached).await;
    }

    /// Waits until this many bytes of bodies were sent for this path (without a query).
    ///
    /// # Panics
    /// After 30 s.
    pub async fn until_sent(&self, path: &str, bytes: u64) {
        let what = format!("{bytes} bytes of {path} to be sent");
        let reached = |entries: &Entries| entries.sent.get(path).is_some_and(|sent| *sent >= bytes);
        self.shared.ledger.until(&what, reached).await;
    }

    /// Waits until no request is being answered.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn until_idle(&self) {
        self.shared.ledger.until("every answer to end", |entries| entries.under_way == 0).await;
    }

    fn scripts(&self) -> MutexGuard<'_, HashMap<String, Script>> {
        self.shared.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_reply(&self, request: &Request) -> Reply {
        match self.scripts().get_mut(request.path()) {
            Some(script) => script.next(request),
            None => Reply::html(404, "<html>no such path"),
        }
    }

    async fn accept(&self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            self.shared.ledger.note(|entries| entries.connections += 1);
            let served = self.clone();
            self.shared.tasks.spawn(async move {
                let stopped = served.shared.stop.clone();
                // A client that goes away is the client's business.
                let _ = stopped.run_until_cancelled(served.attend(stream)).await;
            });
        }
    }

    async fn attend(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match &self.shared.tls {
            Some(tls) => self.converse(tls.accept(stream).await?).await,
            None => self.converse(Box::new(stream)).await,
        }
    }

    async fn converse(&self, wire: Box<dyn Wire>) -> io::Result<()> {
        let mut connection = BufReader::new(wire);
        while let Some(request) = request::read(&mut connection).await? {
            let reply = self.next_reply(&request);
            let (method, is_last) = (request.method.clone(), request.is_last());
            let mut under_way = self.shared.ledger.begin(request);
            let end = delivery::send(&reply, &method, &mut connection, &mut under_way).await?;
            if end == End::BrokenOff {
                under_way.broken_off();
            }
            if end != End::Open || is_last {
                break;
            }
        }
        connection.shutdown().await
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.expect("a port on loopback")
}
