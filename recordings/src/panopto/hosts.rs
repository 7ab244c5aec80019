//! Panopto's hosts.
//!
//! Panopto serves tenants as `NAME.hosted.panopto.com`, `NAME.cloud.panopto.eu`, `NAME.au.panopto.com` and similar names, known
//! here. Universities also use domains of their own, which are configured.

use url::{Host, Url};

/// Panopto's domains. A host has to be a proper sub-domain.
const PANOPTO_DOMAINS: [&str; 2] = ["panopto.com", "panopto.eu"];

/// Hosts of recordings, for [`FetchPolicy::listed`](bedel_fetch::FetchPolicy::listed): Panopto's domains, its media domain, and
/// the CDN that it publishes through.
pub const FETCH_HOSTS: [&str; 4] = [".panopto.com", ".panopto.eu", ".panopto-content.com", ".cloudfront.net"];

/// The kind of a URL's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKind {
    /// Panopto, or a configured tenant. Requests about the recording go to its origin.
    Panopto {
        /// Scheme, host and port. Always https, except for a tenant that is configured with its port.
        origin: Url,
    },
    /// A literal address that is not configured.
    IpAddress,
    /// Any other host.
    Foreign,
}

/// Classifies the host of an http or https URL. `tenants` holds hosts, or `host:port` for development.
///
/// A link to a host without a port may use http, since the link is only read; requests use https. Only a tenant configured as
/// `host:port` is asked by the scheme of the link.
#[must_use]
pub fn classify(url: &Url, tenants: &[String]) -> HostKind {
    let Some(host) = url.host_str() else { return HostKind::Foreign };
    let host = host.strip_suffix('.').unwrap_or(host);
    let tenant = |name: &str| tenants.iter().any(|tenant| tenant.trim().eq_ignore_ascii_case(name));

    let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
    if with_port.is_some_and(|name| tenant(&name)) {
        return match Url::parse(&url.origin().ascii_serialization()) {
            Ok(origin) => HostKind::Panopto { origin },
            Err(_) => HostKind::Foreign,
        };
    }
    // Panopto answers on the default ports only.
    if url.port().is_none() && (tenant(host) || is_panopto(host)) {
        return match Url::parse(&format!("https://{host}/")) {
            Ok(origin) => HostKind::Panopto { origin },
            Err(_) => HostKind::Foreign,
        };
    }
    match url.host() {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => HostKind::IpAddress,
        _ => HostKind::Foreign,
    }
}

/// True for a host below one of Panopto's domains, in lower case and without a final dot.
fn is_panopto(host: &str) -> bool {
    PANOPTO_DOMAINS.iter().any(|domain| is_below(host, domain))
}

/// True for a proper sub-domain.
fn is_below(host: &str, domain: &str) -> bool {
    let labels = host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    labels.is_some_and(|labels| !labels.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_domains_and_tenants() {
        let tenants =
            ["panopto.imperial.ac.uk".to_owned(), "127.0.0.1:8999".to_owned(), "[::1]:8999".to_owned()];
        let table = [
            ("https://rochester.hosted.panopto.com/x", Some("https://rochester.hosted.panopto.com/")),
            ("https://ROCHESTER.Hosted.Panopto.COM./x", Some("https://rochester.hosted.panopto.com/")),
            ("http://rochester.hosted.panopto.com/x", Some("https://rochester.hosted.panopto.com/")),
            ("https://a.cloud.panopto.eu/x", Some("https://a.cloud.panopto.eu/")),
            ("https://panopto.imperial.ac.uk/x", Some("https://panopto.imperial.ac.uk/")),
            ("http://127.0.0.1:8999/x", Some("http://127.0.0.1:8999/")),
            ("http://[::1]:8999/x", Some("http://[::1]:8999/")),
            ("https://rochester.hosted.panopto.com:8443/x", None),
            ("https://panopto.com/x", None),
            ("https://.panopto.com/x", None),
            ("https://evilpanopto.com/x", None),
            ("https://rochester.hosted.panopto.com.evil.example/x", None),
            ("https://panopto.com.evil.example/x", None),
            ("https://sub.panopto.imperial.ac.uk/x", None),
            ("https://evil.example/panopto.com", None),
            ("https://evil.example\\@rochester.hosted.panopto.com/", None),
            ("http://127.0.0.1:8998/x", None),
            ("http://127.0.0.1/x", None),
        ];
        for (text, origin) in table {
            let Ok(url) = Url::parse(text) else {
                assert_eq!(origin, None, "{text}");
                continue;
            };
            match classify(&url, &tenants) {
                HostKind::Panopto { origin: found } => assert_eq!(Some(found.as_str()), origin, "{text}"),
                _ => assert_eq!(None, origin, "{text}"),
            }
        }
    }
}
