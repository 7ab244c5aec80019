//! The server: scripts by path, and counts of requests and bytes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::canary::Canary;
use crate::delivery::{self, End};
use crate::hls::{self, Hls};
use crate::reply::Reply;
use crate::request::{self, Request};
use crate::resource::Resource;
use crate::tls::Tls;
use crate::traffic::{Traffic, TrafficLog};
use crate::transport::Transport;

/// The server. It ends with the test's runtime or at [`Upstream::stop`]. Clones share one server.
#[derive(Debug, Clone)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tls: Option<Tls>,
    scripts: Mutex<HashMap<String, Script>>,
    traffic_log: TrafficLog,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// How a path answers.
#[derive(Debug)]
enum Script {
    /// Each request takes the next reply. The last one stays.
    Replies(VecDeque<Reply>),
    /// A file, and the number of its requests so far.
    Resource { resource: Resource, requests: usize },
}

impl Script {
    fn next(&mut self, request: &Request) -> Reply {
        match self {
            Self::Resource { resource, requests } => {
                let reply = resource.reply(*requests, request);
                *requests += usize::from(!request.is_head());
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

    /// Like [`Upstream::start`], with TLS. The certificate is for 127.0.0.1, localhost and `names`. Clients
    /// must trust [`Upstream::ca_pem`].
    pub async fn start_tls(names: &[&str]) -> Self {
        Self::on_listener(listen().await, Some(Tls::new(names)))
    }

    /// Like [`Upstream::start`], with a canary on the same port.
    ///
    /// # Panics
    /// If none of 100 ports is free on all three addresses.
    pub async fn start_with_canary() -> (Self, Canary) {
        for _ in 0..100 {
            let listener = listen().await;
            let port = listener.local_addr().expect("an address").port();
            match Canary::start(port).await {
                Ok(canary) => return (Self::on_listener(listener, None), canary),
                Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => panic!("cannot start a canary on 127.0.0.2 and [::1]: {error}"),
            }
        }
        panic!("no port is free on 127.0.0.1, 127.0.0.2 and [::1]");
    }

    fn on_listener(listener: TcpListener, tls: Option<Tls>) -> Self {
        let address = listener.local_addr().expect("an address");
        let upstream = Self { address, shared: Arc::new(Shared { tls, ..Shared::default() }) };
        let server = upstream.clone();
        let tasks = &upstream.shared.tasks;
        tasks.spawn(async move {
            let stop = server.shared.stop.clone();
            let _ = stop.run_until_cancelled(server.accept(listener)).await;
        });
        // `close` only lets `wait` return. New tasks are still tracked.
        tasks.close();
        upstream
    }

    /// Closes the port and all connections, then returns.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.wait().await;
    }

    /// `127.0.0.1:PORT`, the form that the configuration takes.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The full URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The certificate to trust, in PEM.
    ///
    /// # Panics
    /// If the upstream has no TLS.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.shared.tls.as_ref().expect("an upstream with TLS").ca_pem
    }

    /// Scripts a path (without a query): each request takes the next reply, and the last one stays. A path
    /// without a script answers 404.
    ///
    /// # Panics
    /// If `replies` is empty.
    pub fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies: VecDeque<Reply> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "the script of {path} has no replies");
        self.scripts().insert(path.to_owned(), Script::Replies(replies));
    }

    /// Serves a file on a path (without a query) and replaces any earlier script. Its faults count requests
    /// from now on.
    pub fn serve(&self, path: &str, resource: Resource) {
        self.scripts().insert(path.to_owned(), Script::Resource { resource, requests: 0 });
    }

    /// Serves a stream below `prefix` (`/lecture.hls`): its playlist, and each file as a [`Resource`].
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

    /// All requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.traffic_log.traffic().requests.clone()
    }

    /// Requests for this path (without a query) so far.
    #[must_use]
    pub fn requests_to(&self, path: &str) -> Vec<Request> {
        let traffic = self.shared.traffic_log.traffic();
        traffic.requests.iter().filter(|request| request.path() == path).cloned().collect()
    }

    /// Body bytes sent so far for this path (without a query). Counts bytes handed to the system: a client
    /// that hung up may have read fewer.
    #[must_use]
    pub fn bytes_sent(&self, path: &str) -> u64 {
        self.shared.traffic_log.traffic().body_bytes.get(path).copied().unwrap_or(0)
    }

    /// Body bytes sent so far for all paths.
    #[must_use]
    pub fn total_bytes_sent(&self) -> u64 {
        self.shared.traffic_log.traffic().body_bytes.values().sum()
    }

    /// Number of replies to this path that were cut short on purpose.
    #[must_use]
    pub fn abort_count(&self, path: &str) -> usize {
        self.shared.traffic_log.traffic().aborts.get(path).copied().unwrap_or(0)
    }

    /// Highest number of requests in flight at the same time.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.shared.traffic_log.traffic().max_in_flight
    }

    /// Connections accepted so far. Fewer than requests if clients reuse them.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.traffic_log.traffic().connections
    }

    /// Waits for `count` requests for this path (without a query).
    ///
    /// # Panics
    /// After 30 s.
    pub async fn wait_for_requests(&self, path: &str, count: usize) {
        let what = format!("request {count} for {path}");
        let matches = |request: &&Request| request.path() == path;
        let reached = |traffic: &Traffic| traffic.requests.iter().filter(matches).count() >= count;
        self.shared.traffic_log.wait_until(&what, reached).await;
    }

    /// Waits for this many body bytes sent for this path (without a query).
    ///
    /// # Panics
    /// After 30 s.
    pub async fn wait_for_bytes(&self, path: &str, bytes: u64) {
        let what = format!("{bytes} bytes of {path}");
        let reached = |traffic: &Traffic| traffic.body_bytes.get(path).is_some_and(|sent| *sent >= bytes);
        self.shared.traffic_log.wait_until(&what, reached).await;
    }

    /// Waits until no request is in flight.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn wait_until_idle(&self) {
        self.shared.traffic_log.wait_until("all replies to end", |traffic| traffic.in_flight == 0).await;
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
            self.shared.traffic_log.update(|traffic| traffic.connections += 1);
            let server = self.clone();
            self.shared.tasks.spawn(async move {
                let stop = server.shared.stop.clone();
                // An error means that the client hung up, which a test may want.
                let _ = stop.run_until_cancelled(server.serve_connection(stream)).await;
            });
        }
    }

    async fn serve_connection(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match &self.shared.tls {
            Some(tls) => self.serve_requests(tls.accept(stream).await?).await,
            None => self.serve_requests(Box::new(stream)).await,
        }
    }

    async fn serve_requests(&self, transport: Box<dyn Transport>) -> io::Result<()> {
        let mut connection = BufReader::new(transport);
        while let Some(request) = request::read(&mut connection).await? {
            let reply = self.next_reply(&request);
            let (method, is_last) = (request.method.clone(), request.is_last());
            let mut in_flight = self.shared.traffic_log.begin(request);
            let end = delivery::send(&reply, &method, &mut connection, &mut in_flight).await?;
            if end == End::Abort {
                in_flight.record_abort();
            }
            if end != End::KeepOpen || is_last {
                break;
            }
        }
        connection.shutdown().await
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.expect("a port on loopback")
}
