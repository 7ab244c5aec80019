//! Outgoing HTTP: every byte this system asks the outside for goes through here.
//!
//! A request is made in four steps, and each has a file of its own:
//! 1. `rules` looks at the URL (scheme, credentials, host, literal addresses) before anything is dialled, again at each
//!    redirect and for each URL inside a playlist;
//! 2. `resolver` looks at what a name resolves to, inside the connector, so that the address that was checked is
//!    the address that is dialled; both ask the table in [`address`];
//! 3. the status is turned into a typed [`FetchError`];
//! 4. `transfer` streams a body to a file, goes on where it broke off, and [`body`] says what it is.
//!
//! Proxy settings of the environment are ignored: a proxy resolves names behind the checks' back. One that is configured for
//! this purpose is used, and then keeping it away from private networks is the proxy's part.
//!
//! Limits besides those named here are the HTTP library's: at most 100 header fields and 400 kB of them.

pub mod address;
pub mod body;
mod error;
mod part_file;
mod resolver;
pub mod retry_after;
mod rules;
mod small;
mod transfer;
mod validator;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Method, Proxy, Response, StatusCode, redirect};
use tokio::time::timeout;
use url::Url;

pub use error::FetchError;
pub use part_file::PartFile;
pub use resolver::{Lookup, SystemLookup};
pub use rules::UrlRefusal;
pub use rules::{host, place};
pub use small::SmallBody;
pub use transfer::{Arrived, Exact, MAX_PLAYLIST_BYTES, require_media};

use rules::Reach;

/// Redirects followed before we stop.
const MAX_REDIRECTS: usize = 5;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Connections to one host that are kept for the next request.
const IDLE_CONNECTIONS: usize = 8;

/// Limits and exceptions of outgoing HTTP.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// Hosts that may be asked: `name`, `.suffix` for all names below it, or `name:port`. By default none.
    pub hosts: Vec<String>,
    /// `host:port` pairs that may be asked unencrypted and at a private or loopback address, for development. A name
    /// among them may resolve to public addresses and to addresses that are themselves listed.
    pub allowed_private: Vec<String>,
    /// Largest source accepted, in bytes.
    pub max_bytes: u64,
    /// A server that sends nothing for this long, before the first byte or between two, has stalled.
    pub stall_timeout: Duration,
    /// A proxy for all requests. It resolves the names then.
    pub proxy: Option<ProxyUrl>,
    /// Certificates (PEM) of authorities that are trusted besides the system's.
    pub extra_ca: Option<Vec<u8>>,
}

/// What a worker goes by where nothing is configured.
impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            allowed_private: Vec::new(),
            max_bytes: 4 << 30,
            stall_timeout: Duration::from_secs(60),
            proxy: None,
            extra_ca: None,
        }
    }
}

/// The address of a proxy. It may hold a password, so it shows its host alone.
#[derive(Clone)]
pub struct ProxyUrl(pub Url);

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({})", host(&self.0))
    }
}

/// The HTTP client of the jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Refuses every name with a special address.
    public: Client,
    /// Used only for the `host:port` pairs of `allowed_private`; accepts the addresses among them.
    development: Client,
    settings: FetchSettings,
}

impl Fetcher {
    /// A client with these limits. The process must have installed a rustls provider before.
    ///
    /// # Errors
    /// [`FetchError::Client`] where the TLS back end, the system's certificates, `extra_ca` or the proxy cannot be used.
    ///
    /// # Panics
    /// Where no rustls provider was installed, which is a mistake in the program's start.
    pub fn new(settings: FetchSettings) -> Result<Self, FetchError> {
        Self::with_lookup(settings, Arc::new(SystemLookup))
    }

    /// As [`Fetcher::new`], with another way to find out where a name is.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn with_lookup(settings: FetchSettings, lookup: Arc<dyn Lookup>) -> Result<Self, FetchError> {
        let client = |listed: Vec<IpAddr>| {
            let mut builder = Client::builder()
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(CONNECT_TIMEOUT.min(settings.stall_timeout))
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .user_agent(concat!("bedel/", env!("CARGO_PKG_VERSION")));
            if let Some(pem) = &settings.extra_ca {
                builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
            }
            match &settings.proxy {
                Some(proxy) => builder.proxy(Proxy::all(proxy.0.clone())?),
                None => builder.dns_resolver(Arc::new(resolver::Guarded {
                    lookup: Arc::clone(&lookup),
                    listed: listed.into(),
                })),
            }
            .build()
        };
        Ok(Self {
            public: client(Vec::new()).map_err(|error| FetchError::client(&error))?,
            development: client(listed_addresses(&settings)).map_err(|error| FetchError::client(&error))?,
            settings,
        })
    }

    /// Resolves `target` against `from` and checks what comes of it, without asking anybody.
    ///
    /// # Errors
    /// [`FetchError::Refused`].
    pub fn resolve(&self, from: &Url, target: &str) -> Result<Url, FetchError> {
        let url = rules::next_hop(from, target)?;
        rules::check(&url, &self.settings)?;
        Ok(url)
    }

    /// The response to a GET with these headers, whatever its status unless it redirects, and the address that gave it, after
    /// at most [`MAX_REDIRECTS`] redirects.
    async fn get(&self, url: &Url, headers: &HeaderMap) -> Result<(Url, Response), FetchError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(Method::GET, &url, headers, None).await?;
            match location(&url, &response).transpose()? {
                Some(next) if rules::is_login_path(&next) => return Err(FetchError::login(&next)),
                Some(next) => url = next,
                None => return Ok((url, response)),
            }
        }
        Err(FetchError::TooManyRedirects { host: host(&url), limit: MAX_REDIRECTS })
    }

    /// One request, one response, whatever its status. The URL is checked here and nowhere can it be forgotten.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        form: Option<&[(&str, &str)]>,
    ) -> Result<Response, FetchError> {
        let client = match rules::check(url, &self.settings)? {
            Reach::Public => &self.public,
            Reach::Development => &self.development,
        };
        // We count and compare bytes, so nobody may compress them on the way.
        let mut request =
            client.request(method, url.clone()).headers(headers.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(form) = form {
            request = request.form(form);
        }
        let stall = self.settings.stall_timeout;
        let response = match timeout(stall, request.send()).await {
            Ok(sent) => sent.map_err(|error| FetchError::network(url, &error))?,
            Err(_) => return Err(FetchError::stalled(url, stall)),
        };
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if response.status().is_success() && !response.headers().get_all(CONTENT_ENCODING).iter().all(plain) {
            return Err(FetchError::Encoded { host: host(url) });
        }
        Ok(response)
    }

    /// The next piece of a body, `None` at its end.
    async fn chunk(&self, url: &Url, response: &mut Response) -> Result<Option<bytes::Bytes>, FetchError> {
        let stall = self.settings.stall_timeout;
        match timeout(stall, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| FetchError::network(url, &error)),
            Err(_) => Err(FetchError::stalled(url, stall)),
        }
    }
}

/// The addresses among the listed `host:port` pairs.
fn listed_addresses(settings: &FetchSettings) -> Vec<IpAddr> {
    let address = |pair: &String| {
        let (host, _) = pair.trim().rsplit_once(':')?;
        host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    };
    settings.allowed_private.iter().filter_map(address).collect()
}

/// Where a redirect leads. `None` for any other answer.
fn location(url: &Url, response: &Response) -> Option<Result<Url, FetchError>> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !redirects.contains(&response.status()) {
        return None;
    }
    let target = response.headers().get(LOCATION)?.to_str().unwrap_or_default();
    Some(rules::next_hop(url, target).map_err(FetchError::from))
}

/// Only 200 brings a whole body.
fn successful(url: &Url, response: Response) -> Result<Response, FetchError> {
    if response.status() == StatusCode::OK { Ok(response) } else { Err(refused(url, &response)) }
}

/// The error that a status stands for.
fn refused(url: &Url, response: &Response) -> FetchError {
    FetchError::Status {
        host: host(url),
        status: response.status().as_u16(),
        retry_after: retry_after::delay(response.headers()),
        html: content_type(response).is_some_and(|text| text.to_ascii_lowercase().starts_with("text/html")),
    }
}

fn content_type(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?;
    value.to_str().ok().map(str::to_owned)
}
