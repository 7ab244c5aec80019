//! Connections: HTTP/1.1, limited in number, with a time limit for each request's head.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Address of the client, or of the proxy in front of it. In the extensions of each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Longest wait for a request's head, also on an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

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
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
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
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            request
        });
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
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
