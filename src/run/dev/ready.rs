//! Waits until everything is up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::CliError;

/// Poll interval.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Removes the address file of an earlier API.
pub fn remove_address(file: &Path) {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("{} could not be removed: {error}", file.display());
    }
}

/// The address that the API wrote into `file`.
#[must_use]
pub fn address(file: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Waits until the API has an address and reports ready, including its database.
///
/// # Errors
/// If it is not ready within `limit`.
pub async fn wait(file: &Path, limit: Duration) -> Result<SocketAddr, CliError> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()
        .map_err(|error| CliError::Failed(format!("no HTTP client: {error}")))?;
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(address) = address(file)
            && let Ok(answer) = client.get(format!("{}/readyz", url_of(address))).send().await
            && answer.status().is_success()
        {
            return Ok(address);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Err(CliError::Failed(format!(
        "not ready after {} s; the log lines above say why. If the address is taken, choose another with \
         --listen",
        limit.as_secs()
    )))
}

/// The URL that reaches an API on `address` from this machine.
#[must_use]
pub fn url_of(address: SocketAddr) -> String {
    let host = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    format!("http://{}", SocketAddr::new(host, address.port()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_api_on_all_addresses_is_reached_by_loopback() {
        assert_eq!(super::url_of("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(super::url_of("[::1]:80".parse().unwrap()), "http://[::1]:80");
    }
}
