//! Parsers of values. Errors say what to write.

use std::path::Path;
use std::time::Duration;

use url::{Host, Url};

/// A duration in seconds, fractions allowed, at most ten years.
///
/// # Errors
/// If it is not such a number.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const LIMIT: f64 = 10.0 * 366.0 * 86_400.0;
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value <= LIMIT => Ok(Duration::from_secs_f64(value)),
        _ => Err("write a number of seconds greater than 0, such as 30 or 0.5".to_owned()),
    }
}

/// A list separated by commas, without surrounding spaces and empty parts.
#[must_use]
pub fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `host:port`. The port keeps an exception for a private address narrow.
///
/// # Errors
/// If it is not `host:port`.
pub fn host_and_port(text: &str) -> Result<String, String> {
    let text = text.trim();
    let good = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', '@', ' ']) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if good {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("write host:port, such as 127.0.0.1:9000".to_owned())
    }
}

/// A host name with an optional port, without scheme and path.
///
/// # Errors
/// If it is not a host name.
pub fn host(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.contains(['/', '@', ' ', '?', '#']) {
        return Err("write a host name alone, such as panopto.example.edu".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

/// `true`/`false`, `yes`/`no`, `on`/`off`, `1`/`0`.
///
/// # Errors
/// If it is none of these.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// Reads certificates (PEM) from a file. `None` if none is configured.
///
/// # Errors
/// If the file cannot be read. The text names the variable.
pub fn pem(variable: &str, file: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
    let pem = std::fs::read(file)
        .map_err(|error| format!("{variable}: {} cannot be read ({error})", file.display()))?;
    Ok(Some(pem))
}

/// True for `localhost` and loopback addresses.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_and_are_never_zero_or_endless() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "", "ten", "NaN", "inf", "1e300"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_drop_empty_parts() {
        assert_eq!(list(" a, b,,"), ["a", "b"]);
        assert!(list("").is_empty());
    }

    #[test]
    fn an_exception_for_a_private_address_needs_its_port() {
        assert_eq!(host_and_port("LocalHost:80"), Ok("localhost:80".to_owned()));
        assert!(host_and_port("[::1]:8080").is_ok());
        for bad in
            ["localhost", "http://localhost:80/", "user@localhost:80", "localhost:0", ":80", "localhost:http"]
        {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tenant_is_a_host_and_nothing_else() {
        assert_eq!(host("Panopto.Example.EDU"), Ok("panopto.example.edu".to_owned()));
        assert!(host("https://panopto.example.edu").is_err());
    }
}
