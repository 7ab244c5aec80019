//! Outgoing HTTP: every byte this system asks the outside for goes through here.
//!
//! A request is made in four steps, and each has a file of its own:
//! 1. `rules` looks at the URL (scheme, credentials, literal addresses) before anything is dialled, again at each
//!    redirect;
//! 2. `resolver` looks at what a name resolves to, inside the connector, so that the address that was checked is
//!    the address that is dialled; both ask the table in [`address`];
//! 3. the status is turned into a typed [`FetchError`];
//! 4. `download` streams a body to a file and [`body`] says what it is.
//!
//! Proxy settings of the environment are ignored: a proxy would resolve names behind the checks' back.

pub mod address;
pub mod body;
mod download;
mod error;
mod resolver;
mod retry_after;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use tokio::time::timeout;
use url::Url;

pub(crate) use download::require_media;
pub use error::FetchError;
pub use rules::{UrlRefusal, check_url};

use rules::Reach;

/// Redirects followed before we stop.
const MAX_REDIRECTS: usize = 5;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Limits and exceptions of outgoing HTTP.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// `host:port` pairs that may be private or loopback addresses, for development.
    pub allowed_private: Vec<String>,
    /// Largest source accepted, in bytes.
    pub max_bytes: u64,
    /// A server that sends nothing for this long, before the first byte or between two, has stalled.
    pub stall_timeout: Duration,
}

/// The HTTP client of the jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Refuses every name with a special address.
    public: Client,
    /// Used only for the `host:port` pairs of `allowed_private`.
    development: Client,
    settings: FetchSettings,
}

/// A small body that was read whole.
#[derive(Debug)]
pub struct SmallBody {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
}

impl Fetcher {
    /// A client with these limits. The process must have installed a rustls provider before.
    ///
    /// # Errors
    /// [`FetchError::Client`] where the TLS back end or the system's certificates cannot be set up.
    ///
    /// # Panics
    /// Where no rustls provider was installed, which is a mistake in the program's start.
    pub fn new(settings: FetchSettings) -> Result<Self, FetchError> {
        let builder = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(CONNECT_TIMEOUT.min(settings.stall_timeout))
                .pool_max_idle_per_host(2)
                .user_agent(concat!("bedel/", env!("CARGO_PKG_VERSION")))
        };
        let public = builder().dns_resolver(Arc::new(resolver::PublicOnly)).build();
        Ok(Self {
            public: public.map_err(|error| FetchError::client(&error))?,
            development: builder().build().map_err(|error| FetchError::client(&error))?,
            settings,
        })
    }

    /// Reads a small body whole, following redirects.
    ///
    /// # Errors
    /// Any [`FetchError`]; `TooLarge` beyond `max_bytes`, `TimedOut` when all of it takes longer than
    /// `total_timeout`.
    pub async fn get_bytes(
        &self,
        url: &Url,
        max_bytes: u64,
        total_timeout: Duration,
    ) -> Result<Vec<u8>, FetchError> {
        let all = async {
            let (url, response) = self.get(url).await?;
            Ok(self.read_small(&url, response, max_bytes).await?.bytes)
        };
        timeout(total_timeout, all).await.unwrap_or_else(|_| Err(FetchError::timed_out(url, total_timeout)))
    }

    /// Posts a form and reads a small answer whole. Redirects are not followed: one to a sign-in page is
    /// [`FetchError::Login`], any other is [`FetchError::Status`].
    ///
    /// # Errors
    /// As [`Fetcher::get_bytes`].
    pub async fn post_form(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        max_bytes: u64,
        total_timeout: Duration,
    ) -> Result<SmallBody, FetchError> {
        let all = async {
            let response = self.send(Method::POST, url, Some(form)).await?;
            if let Some(next) = location(url, &response).transpose()?
                && rules::is_login_path(&next)
            {
                return Err(FetchError::login(&next));
            }
            let response = successful(url, response)?;
            self.read_small(url, response, max_bytes).await
        };
        timeout(total_timeout, all).await.unwrap_or_else(|_| Err(FetchError::timed_out(url, total_timeout)))
    }

    /// A successful response (status 200) and the address that gave it, after at most [`MAX_REDIRECTS`] redirects.
    async fn get(&self, url: &Url) -> Result<(Url, Response), FetchError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(Method::GET, &url, None).await?;
            match location(&url, &response).transpose()? {
                Some(next) if rules::is_login_path(&next) => return Err(FetchError::login(&next)),
                Some(next) => url = next,
                None => {
                    let response = successful(&url, response)?;
                    return Ok((url, response));
                }
            }
        }
        Err(FetchError::TooManyRedirects { host: rules::host(&url), limit: MAX_REDIRECTS })
    }

    /// One request, one response, whatever its status. The URL is checked here and nowhere can it be forgotten.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        form: Option<&[(&str, &str)]>,
    ) -> Result<Response, FetchError> {
        let client = match rules::check(url, &self.settings.allowed_private)? {
            Reach::Public => &self.public,
            Reach::Development => &self.development,
        };
        // We count and compare bytes, so nobody may compress them on the way.
        let mut request = client.request(method, url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(form) = form {
            request = request.form(form);
        }
        let stall = self.settings.stall_timeout;
        match timeout(stall, request.send()).await {
            Ok(sent) => sent.map_err(|error| FetchError::network(url, &error)),
            Err(_) => Err(FetchError::stalled(url, stall)),
        }
    }

    /// The next piece of a body, `None` at its end.
    async fn chunk(&self, url: &Url, response: &mut Response) -> Result<Option<bytes::Bytes>, FetchError> {
        let stall = self.settings.stall_timeout;
        match timeout(stall, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| FetchError::network(url, &error)),
            Err(_) => Err(FetchError::stalled(url, stall)),
        }
    }

    async fn read_small(
        &self,
        url: &Url,
        mut response: Response,
        max_bytes: u64,
    ) -> Result<SmallBody, FetchError> {
        let too_large = || FetchError::TooLarge { host: rules::host(url), limit: max_bytes };
        if response.content_length().is_some_and(|announced| announced > max_bytes) {
            return Err(too_large());
        }
        let content_type = content_type(&response);
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(url, &mut response).await? {
            if bytes.len() as u64 + chunk.len() as u64 > max_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(SmallBody { bytes, content_type })
    }
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

/// Only 200 brings a whole body: we ask for no ranges and send no validators.
fn successful(url: &Url, response: Response) -> Result<Response, FetchError> {
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    Err(FetchError::Status {
        host: rules::host(url),
        status: response.status().as_u16(),
        retry_after: retry_after::delay(response.headers()),
        html: content_type(&response).is_some_and(|text| text.to_ascii_lowercase().starts_with("text/html")),
    })
}

fn content_type(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?;
    value.to_str().ok().map(str::to_owned)
}
