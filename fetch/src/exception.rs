//! Exceptions from the rule that only public https addresses are asked.

use std::str::FromStr;

use url::{Host, Url};

use super::network::Network;

/// A host or a network that the operator allows. It may be asked unencrypted and at a private address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// A name, at this port or at any.
    Host {
        /// In lower case.
        name: String,
        /// `None`: any port.
        port: Option<u16>,
    },
    /// Addresses: literal ones, and those that any name resolves to. Unencrypted only by a literal address.
    Network(Network),
}

/// The text is no exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a host, host:port, an address or a network, such as hooks.internal, localhost:9000 or 10.2.0.0/16"
)]
pub struct NotAnException;

impl Exception {
    /// True if the URL itself names the host, or an address in the network.
    pub(super) fn names(&self, url: &Url) -> bool {
        match (self, url.host()) {
            (Self::Host { name, port }, Some(Host::Domain(host))) => {
                name.eq_ignore_ascii_case(host)
                    && port.is_none_or(|port| url.port_or_known_default() == Some(port))
            }
            (Self::Network(network), Some(Host::Ipv4(address))) => network.contains(address.into()),
            (Self::Network(network), Some(Host::Ipv6(address))) => network.contains(address.into()),
            _ => false,
        }
    }
}

impl FromStr for Exception {
    type Err = NotAnException;

    fn from_str(text: &str) -> Result<Self, NotAnException> {
        let text = text.trim();
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| NotAnException)?)),
            None => (text, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        // An address with a port would look like a rule for that port alone; a network has none.
        if name.is_empty() || !name.chars().all(is_name) || name.parse::<std::net::IpAddr>().is_ok() {
            return Err(NotAnException);
        }
        Ok(Self::Host { name: name.to_ascii_lowercase(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_names_its_host_or_its_addresses() {
        let names = |exception: &str, url: &str| {
            let exception: Exception = exception.parse().expect("an exception");
            exception.names(&url.parse().expect("a URL"))
        };
        assert!(names("Hooks.Internal", "http://hooks.internal:8080/a"));
        assert!(names("localhost:9000", "http://localhost:9000/"));
        assert!(!names("localhost:9000", "http://localhost/") && names("localhost:80", "http://localhost/"));
        assert!(names("127.0.0.0/8", "http://127.0.0.2/") && names("::1", "http://[::1]:9/"));
        assert!(!names("127.0.0.1", "http://localhost/") && !names("hooks", "http://hooks.internal/"));
        for bad in ["", "http://localhost", "a b", "127.0.0.1:80", "[::1]:80", "localhost:x", "*.internal"] {
            assert_eq!(bad.parse::<Exception>(), Err(NotAnException), "{bad}");
        }
    }
}
