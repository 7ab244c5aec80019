//! Connections: HTTP/1.1, limited in number, with time limits for each request's head and for idle connections.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::TryFutureExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::head_timeout::{AnswerBody, HeadTimeout, Requests};

/// Address of the client, or of the proxy in front of it. In the extensions of each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// From a head's first byte to its last; for the first head from the start of the connection.
    head: Duration,
    /// From an answer to the end of the next head.
    idle: Duration,
}

/// Load balancers reuse an idle connection for 60 s. If the server closed it first, their next request would fail.
const TIMEOUTS: Timeouts = Timeouts { head: Duration::from_secs(30), idle: Duration::from_secs(75) };

/// Open connections. More wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;

/// Running requests get this long after a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that reads nothing of an answer for this long is disconnected, in milliseconds.
#[cfg(target_os = "linux")]
const SEND_TIMEOUT_MS: u32 = 30_000;

/// Pause after a failed accept, such as without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` fires. Running requests then get ten seconds to end.
pub(super) async fn run(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve(listener, router, stop, TIMEOUTS).await;
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken, timeouts: Timeouts) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(timeouts.idle);
    let (graceful, permits) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stop.cancelled());
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
            (accept(&listener).await, permit)
        };
        let (stream, permit) = tokio::select! {
            next = next => next,
            // Reap finished connections.
            Some(_) = connections.join_next() => continue,
            () = &mut stopped => break,
        };
        let peer = stream.peer_addr().map(|address| Peer(address.ip())).ok();
        let requests = Requests::default();
        let stream = HeadTimeout::new(stream, requests.clone(), timeouts.head);
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let answer = requests.begin();
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            router
                .clone()
                .oneshot(request)
                .map_ok(|response| response.map(|body| AnswerBody::new(body, answer)))
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let graceful_connection = graceful.watch(connection);
        connections.spawn(async move {
            // Clients may disconnect at any time.
            let _ = graceful_connection.await;
            drop(permit);
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(DRAIN_TIMEOUT) => {
            tracing::warn!("requests still run {} s after the stop; aborting them", DRAIN_TIMEOUT.as_secs());
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Send small answers at once. A socket without the option still works.
                let _ = stream.set_nodelay(true);
                // Also with a closed client window (tcp(7)): a client must not hold a connection by reading
                // nothing.
                #[cfg(target_os = "linux")]
                let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, SEND_TIMEOUT_MS);
                return stream;
            }
            Err(error) if is_client_error(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A client that disconnected before it was accepted.
fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, timeout};

    use super::*;

    const HEAD: Duration = Duration::from_millis(500);
    const IDLE: Duration = Duration::from_millis(2500);
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A connection to a server that answers `GET /` at once and `POST /` after the body and [`HEAD`].
    async fn connect() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = async |body: String| {
            sleep(HEAD).await;
            body
        };
        let router = Router::new().route("/", get(async || "hello")).route("/", post(slow));
        let timeouts = Timeouts { head: HEAD, idle: IDLE };
        tokio::spawn(serve(listener, router, CancellationToken::new(), timeouts));
        TcpStream::connect(address).await.unwrap()
    }

    async fn send(stream: &mut TcpStream, request: &[u8], answer_ends: &[u8]) {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(answer_ends) {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed");
        }
    }

    /// How long until the server closes the connection.
    async fn closed_after(stream: &mut TcpStream) -> Duration {
        let begun = Instant::now();
        let mut rest = Vec::new();
        timeout(IDLE * 4, stream.read_to_end(&mut rest)).await.expect("closed").unwrap();
        begun.elapsed()
    }

    #[tokio::test]
    async fn an_idle_connection_outlives_the_limit_of_a_head() {
        let mut stream = connect().await;
        for _ in 0..2 {
            send(&mut stream, ASK, b"hello").await;
            assert!(timeout(HEAD * 2, stream.readable()).await.is_err(), "closed while idle");
        }
        let idle = closed_after(&mut stream).await;
        assert!(idle > HEAD && idle < IDLE * 2, "{idle:?}");
    }

    #[tokio::test]
    async fn a_slow_head_is_closed_on_a_new_and_on_a_kept_connection() {
        for requests in 0..3 {
            for sent in [b"".as_slice(), b"GET / HTTP/1.1\r\nx-slow:"] {
                let mut stream = connect().await;
                for _ in 0..requests {
                    send(&mut stream, ASK, b"hello").await;
                }
                stream.write_all(sent).await.unwrap();
                let took = closed_after(&mut stream).await;
                let is_slow_head = requests == 0 || !sent.is_empty();
                assert_eq!(took < IDLE - HEAD, is_slow_head, "{took:?} after {requests} requests");
            }
        }
    }

    #[tokio::test]
    async fn a_slow_body_and_a_slow_answer_are_no_slow_head() {
        let mut stream = connect().await;
        stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n").await.unwrap();
        for part in [b"fo", b"ur"] {
            sleep(HEAD + HEAD / 2).await;
            stream.write_all(part).await.unwrap();
        }
        send(&mut stream, b"", b"four").await;
        send(&mut stream, ASK, b"hello").await;
    }
}
