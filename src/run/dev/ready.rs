//! When everything is up, and where.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::CliError;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Removes the address that an earlier API left.
pub fn forget_address(file: &Path) {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("{} stays behind: {error}", file.display());
    }
}

/// The address that the API wrote into `file`, if it has.
#[must_use]
pub fn address(file: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Waits until the API has an address and says that it and the database are ready.
///
/// # Errors
/// Where that does not happen within `limit`.
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
        tokio::time::sleep(LOOK).await;
    }
    Err(CliError::Failed(format!(
        "not ready after {} s; the lines above say why. Where the address is taken, choose another with --listen",
        limit.as_secs()
    )))
}

/// The URL by which this machine reaches an API that listens on `address`.
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
