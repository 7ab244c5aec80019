//! Connections: HTTP/1.1, at most so many, each with a time limit for the head of a request.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The head of a request has to be here by then; a connection without a request is closed after so long too.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// Connections at a time. Those beyond wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;

/// How long requests may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A client that takes nothing of an answer for so long has left, in milliseconds.
#[cfg(target_os = "linux")]
const TAKEN_WITHIN: u32 = 30_000;

/// Where accepting failed, such as for want of file descriptors, it is tried again after so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` fires, then lets running requests end for at most ten seconds.
pub(super) async fn run(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let (graceful, room) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stop.cancelled());
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
            (accepted(&listener).await, place)
        };
        let (stream, place) = tokio::select! {
            next = next => next,
            // Those that have ended are let go of.
            Some(_) = connections.join_next() => continue,
            () = &mut stopped => break,
        };
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            // A client that leaves in the middle is no news.
            let _ = watched.await;
            drop(place);
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(DRAIN) => {
            tracing::warn!("requests were still running {} s after the stop: they are cut off", DRAIN.as_secs());
        }
    }
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small answers leave at once; a socket that refuses the option still works.
                let _ = stream.set_nodelay(true);
                // Also where the client's window stays closed (tcp(7)): nobody may hold a place by reading nothing.
                #[cfg(target_os = "linux")]
                let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, TAKEN_WITHIN);
                return stream;
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A client that left before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
