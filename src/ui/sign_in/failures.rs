//! Failed sign-ins are limited, so that tokens and links cannot be guessed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::http::{HeaderValue, StatusCode, header};

use crate::api::problem::Problem;
use crate::api::server::Peer;

/// Failed sign-ins per minute and address of a client. A reverse proxy counts as one client.
const FAILURES_PER_MINUTE: u32 = 20;

/// Failures are counted for this long.
const WINDOW: Duration = Duration::from_secs(60);

/// Failed sign-ins by address, each with the start of its window.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures(Arc<Mutex<HashMap<IpAddr, (Instant, u32)>>>);

impl Failures {
    /// Refuses a client with too many failures.
    pub(super) fn admit(&self, peer: IpAddr) -> Result<(), Problem> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_blocked = failures
            .get(&peer)
            .is_some_and(|(start, count)| *count >= FAILURES_PER_MINUTE && start.elapsed() < WINDOW);
        if !is_blocked {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many failed sign-ins. Try again in a minute.",
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("60")))
    }

    pub(super) fn record(&self, peer: IpAddr) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (start, _)| start.elapsed() < WINDOW);
        failures.entry(peer).or_insert((Instant::now(), 0)).1 += 1;
    }
}

/// The client's address. Without one, all clients count as one.
pub(super) fn address_of(peer: Option<Extension<Peer>>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Peer(address))| address)
}
