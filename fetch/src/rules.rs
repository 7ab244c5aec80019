//! Checks of a URL before a connection.

use url::{Host, Url};

use super::address;
use super::policy::{FetchPolicy, Targets};

/// Longest URL accepted, in bytes. Signed stream addresses have some hundreds.
const MAX_LENGTH: usize = 4096;

/// Why a URL is not fetched. The texts name the rule, and of the URL at most a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// It cannot be read as a URL.
    #[error("it is not a web address")]
    NotAUrl,
    /// It is longer than 4096 bytes.
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Neither http nor https.
    #[error("only https addresses are fetched")]
    Scheme,
    /// Not encrypted, and not listed as an exception.
    #[error("it is not encrypted; only https addresses are fetched")]
    Unencrypted,
    /// It has a user name or a password.
    #[error("it contains a user name or a password")]
    Credentials,
    /// Its host is, or resolves to, an address that the public cannot reach.
    #[error("it leads into a network that is not public ({what})")]
    NotPublic {
        /// What the address is, such as `loopback`.
        what: &'static str,
    },
    /// Its host is not on the list.
    #[error(
        "{host} is not a host that recordings are fetched from; the operators can add it (BEDEL_FETCH_HOSTS)"
    )]
    HostNotListed {
        /// The host, or "an address without a name".
        host: String,
    },
    /// A redirect or a playlist leads from https to http.
    #[error("{host} led from an encrypted to an unencrypted address")]
    Downgrade {
        /// The host that redirected.
        host: String,
    },
}

/// The client for a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// The client that refuses special addresses, unless the policy is the operator's.
    Guarded,
    /// The client that accepts listed private addresses, for a listed `host:port`.
    Private,
}

impl FetchPolicy {
    /// Parses `text` as a URL and checks it, without resolving its name.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn check(&self, text: &str) -> Result<Url, UrlRefusal> {
        if text.len() > MAX_LENGTH {
            return Err(UrlRefusal::TooLong);
        }
        let url = Url::parse(text).map_err(|_| UrlRefusal::NotAUrl)?;
        check(&url, &self.targets)?;
        Ok(url)
    }
}

/// Checks one URL. The URL parser has already normalised other spellings of an address (decimal, octal, hex, full-width
/// digits).
pub(super) fn check(url: &Url, targets: &Targets) -> Result<Route, UrlRefusal> {
    match targets {
        Targets::Operator if !matches!(url.scheme(), "http" | "https") => Err(UrlRefusal::Scheme),
        Targets::Operator => Ok(Route::Guarded),
        Targets::Public { exceptions } => {
            check_strangers(url, |url| exceptions.iter().any(|exception| exception.names(url)))
        }
        Targets::Listed { hosts, allowed_private } => {
            let route = check_strangers(url, |url| is_allowed_private(url, allowed_private))?;
            match url.host() {
                Some(Host::Domain(name)) if is_listed(name, url.port(), hosts) => Ok(route),
                _ if route == Route::Private => Ok(route),
                _ => Err(UrlRefusal::HostNotListed { host: host_name(url) }),
            }
        }
    }
}

/// The rules for strangers' URLs: public and encrypted, but for exceptions.
fn check_strangers(url: &Url, is_exception: impl Fn(&Url) -> bool) -> Result<Route, UrlRefusal> {
    if url.as_str().len() > MAX_LENGTH {
        return Err(UrlRefusal::TooLong);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlRefusal::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::Credentials);
    }
    let literal = match url.host() {
        None => return Err(UrlRefusal::NotAUrl),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(v4)) => Some(v4.into()),
        Some(Host::Ipv6(v6)) => Some(v6.into()),
    };
    if is_exception(url) {
        return Ok(Route::Private);
    }
    if let Some(what) = literal.and_then(address::special) {
        return Err(UrlRefusal::NotPublic { what });
    }
    if url.scheme() == "http" {
        return Err(UrlRefusal::Unencrypted);
    }
    Ok(Route::Guarded)
}

/// The URL that a redirect or a playlist names. It is checked when it is requested.
pub(super) fn next_hop(from: &Url, target: &str) -> Result<Url, UrlRefusal> {
    let next = from.join(target).map_err(|_| UrlRefusal::NotAUrl)?;
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(UrlRefusal::Downgrade { host: host_name(from) });
    }
    Ok(next)
}

/// A URL without its query and fragment. A query may hold a signature, which changes.
pub fn without_query(url: &Url) -> &str {
    url.as_str().split(['?', '#']).next().unwrap_or_default()
}

/// The host of a requested URL, for messages.
pub fn host(url: &Url) -> String {
    url.host_str().unwrap_or("the address").to_owned()
}

/// The host name of a refused URL, for messages. An address is hidden: a redirect or a playlist may have named it, and the text
/// would show a stranger our network.
fn host_name(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        _ => "an address without a name".to_owned(),
    }
}

/// True for the path of a sign-in page, such as `/Panopto/Pages/Auth/Login.aspx`.
pub(super) fn is_login_path(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    let last = path.rsplit('/').next().unwrap_or_default();
    let stem = last.split('.').next().unwrap_or_default();
    matches!(stem, "login" | "logon" | "signin" | "sign-in" | "log-in") || path.contains("/auth/login")
}

/// True where the URL's `host:port` is listed.
fn is_allowed_private(url: &Url, allowed: &[String]) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    let pair = format!("{host}:{port}");
    allowed.iter().any(|listed| listed.trim().eq_ignore_ascii_case(&pair))
}

/// True for a listed name: as `name`, as `.suffix` for all names below it, or as `name:port`.
fn is_listed(name: &str, port: Option<u16>, hosts: &[String]) -> bool {
    // One final dot names the same host; two are invalid.
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name.is_empty() || name.ends_with('.') {
        return false;
    }
    let matches = |listed: &String| {
        let listed = listed.trim().to_ascii_lowercase();
        match (port, listed.rsplit_once(':')) {
            (Some(port), Some((listed, number))) => listed == name && number == port.to_string(),
            (None, None) => match listed.strip_prefix('.') {
                Some(suffix) => is_below(&name, suffix),
                None => listed == name,
            },
            _ => false,
        }
    };
    hosts.iter().any(matches)
}

/// True for a proper sub-domain.
fn is_below(host: &str, domain: &str) -> bool {
    let labels = host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    labels.is_some_and(|labels| !labels.is_empty())
}

#[cfg(test)]
mod tests;
