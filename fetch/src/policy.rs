//! Which addresses a client may ask, and its limits.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::exception::Exception;

/// Redirects followed before a request fails, unless a policy says otherwise.
const MAX_REDIRECTS: usize = 5;

/// Idle connections kept for each host, unless a policy says otherwise.
const IDLE_CONNECTIONS: usize = 8;

/// Rules and limits of one client. Start from a constructor and change the fields that differ.
#[derive(Debug, Clone)]
pub struct FetchPolicy {
    /// Addresses that may be asked.
    pub targets: Targets,
    /// Redirects that a GET follows. Each hop is checked like the first address.
    pub max_redirects: usize,
    /// The proxy for all requests.
    pub proxy: ProxyChoice,
    /// Certificates (PEM) of authorities that are trusted besides the system's.
    pub extra_ca: Option<Vec<u8>>,
    /// Largest download, in bytes.
    pub max_bytes: u64,
    /// Longest silence of a server, before the first byte or between two. Connections time out after this, or after 15
    /// seconds where that is shorter.
    pub stall_timeout: Duration,
    /// Idle connections kept for each host.
    pub idle_connections: usize,
}

/// Addresses that may be asked.
#[derive(Debug, Clone)]
pub enum Targets {
    /// Public https addresses of listed hosts. URLs may come from strangers.
    Listed {
        /// `name`, `.suffix` for all names below it, or `name:port`.
        hosts: Vec<String>,
        /// `host:port` pairs that may be asked unencrypted and at a private or loopback address, for development. A name
        /// among them may resolve to public addresses and to addresses that are themselves listed.
        allowed_private: Vec<String>,
    },
    /// Any public https address, and the exceptions. URLs may come from strangers.
    Public {
        /// Hosts and networks that may be asked unencrypted and at private or loopback addresses.
        exceptions: Vec<Exception>,
    },
    /// Any http or https address, private networks included. Only for URLs that the operator configured or typed.
    Operator,
}

/// The proxy of a client. A proxy resolves names itself, so it has to keep requests out of private networks.
#[derive(Debug, Clone)]
pub enum ProxyChoice {
    /// No proxy. Variables such as `HTTPS_PROXY` are ignored.
    Direct,
    /// The proxy that the usual variables name, if any.
    Environment,
    /// This one.
    Url(ProxyUrl),
}

impl FetchPolicy {
    /// Only these hosts; see [`Targets::Listed`]. Redirects are followed, downloads have at most 4 GiB, a server may be silent
    /// for 60 seconds.
    #[must_use]
    pub fn listed(hosts: Vec<String>, allowed_private: Vec<String>) -> Self {
        Self {
            targets: Targets::Listed { hosts, allowed_private },
            max_redirects: MAX_REDIRECTS,
            proxy: ProxyChoice::Direct,
            extra_ca: None,
            max_bytes: 4 << 30,
            stall_timeout: Duration::from_secs(60),
            idle_connections: IDLE_CONNECTIONS,
        }
    }

    /// Public addresses of any host; see [`Targets::Public`]. Redirects are errors, and a server may be silent for 15
    /// seconds. The other limits are those of [`FetchPolicy::listed`].
    #[must_use]
    pub fn public(exceptions: Vec<Exception>) -> Self {
        Self {
            targets: Targets::Public { exceptions },
            max_redirects: 0,
            stall_timeout: Duration::from_secs(15),
            ..Self::listed(Vec::new(), Vec::new())
        }
    }

    /// Any address, for a URL that the operator gave. Redirects are errors. The other limits are those of
    /// [`FetchPolicy::listed`].
    #[must_use]
    pub fn operator() -> Self {
        Self { targets: Targets::Operator, max_redirects: 0, ..Self::listed(Vec::new(), Vec::new()) }
    }
}

/// The address of a proxy. It may hold a password, so `Debug` shows only the host.
#[derive(Clone)]
pub struct ProxyUrl(pub Url);

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({})", self.0.host_str().unwrap_or("the address"))
    }
}
