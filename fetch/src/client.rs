//! The client: checks a URL, sends a request, follows redirects, and turns statuses into errors.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Method, Proxy, RequestBuilder, Response, StatusCode, redirect};
use tokio::time::timeout;
use url::Url;

use super::error::FetchError;
use super::exception::Exception;
use super::network::Network;
use super::policy::{FetchPolicy, ProxyChoice, Targets};
use super::resolver::{GuardedResolver, Lookup, SystemLookup};
use super::retry_after;
use super::rules::{self, Route, host};

/// Longest time to connect.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// An HTTP client that keeps to one policy. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Refuses names that resolve to special addresses, unless the policy is the operator's.
    client: Client,
    /// For the `host:port` pairs of `allowed_private`, accepting the addresses among them; or for the hosts among the
    /// exceptions, accepting all addresses.
    private_client: Client,
    policy: FetchPolicy,
}

impl Fetcher {
    /// A client with this policy. The process must have installed a rustls provider.
    ///
    /// # Errors
    /// [`FetchError::Client`] where the TLS back end, the system's certificates, `extra_ca` or the proxy cannot be used.
    ///
    /// # Panics
    /// Without a rustls provider.
    pub fn new(policy: FetchPolicy) -> Result<Self, FetchError> {
        Self::with_lookup(policy, Arc::new(SystemLookup))
    }

    /// As [`Fetcher::new`], with another name resolver. The operator's policy uses the system's regardless.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn with_lookup(policy: FetchPolicy, lookup: Arc<dyn Lookup>) -> Result<Self, FetchError> {
        let build = |resolver| build_client(&policy, resolver).map_err(|error| FetchError::client(&error));
        let guarded = |allowed: &[Network]| {
            build(Some(GuardedResolver { lookup: Arc::clone(&lookup), allowed: allowed.into() }))
        };
        let (client, private_client) = match &policy.targets {
            Targets::Operator => {
                let client = build(None)?;
                (client.clone(), client)
            }
            Targets::Listed { allowed_private, .. } => {
                (guarded(&[])?, guarded(&literal_addresses(allowed_private))?)
            }
            Targets::Public { exceptions } => {
                let networks = exceptions.iter().filter_map(|exception| match exception {
                    Exception::Network(network) => Some(*network),
                    Exception::Host { .. } => None,
                });
                (guarded(&networks.collect::<Vec<_>>())?, guarded(&Network::ALL)?)
            }
        };
        Ok(Self { client, private_client, policy })
    }

    /// The policy of this client.
    #[must_use]
    pub fn policy(&self) -> &FetchPolicy {
        &self.policy
    }

    /// Resolves `target` against `from` and checks the result, without a request.
    ///
    /// # Errors
    /// [`FetchError::Refused`].
    pub fn resolve(&self, from: &Url, target: &str) -> Result<Url, FetchError> {
        let url = rules::next_hop(from, target)?;
        rules::check(&url, &self.policy.targets)?;
        Ok(url)
    }

    /// A request that the caller builds, sends and times out itself, such as an upload. Its URL is checked; redirects are not
    /// followed.
    ///
    /// # Errors
    /// [`FetchError::Refused`].
    pub fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, FetchError> {
        let client = match rules::check(url, &self.policy.targets)? {
            Route::Guarded => &self.client,
            Route::Private => &self.private_client,
        };
        Ok(client.request(method, url.clone()))
    }

    /// The first response to a GET that is no redirect, and the address that sent it.
    pub(super) async fn get(&self, url: &Url, headers: &HeaderMap) -> Result<(Url, Response), FetchError> {
        let mut url = url.clone();
        let limit = self.policy.max_redirects;
        for _ in 0..=limit {
            let response = self.send(Method::GET, &url, headers, None).await?;
            match redirect_target(&url, &response).transpose()? {
                Some(next) if rules::is_login_path(&next) => return Err(FetchError::login(&next)),
                Some(next) => url = next,
                None => return Ok((url, response)),
            }
        }
        Err(FetchError::TooManyRedirects { host: host(&url), limit })
    }

    /// Sends one request and returns the response, whatever its status.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        form: Option<&[(&str, &str)]>,
    ) -> Result<Response, FetchError> {
        // Bytes are counted and compared, so a server must not compress them.
        let request = self.request(method, url)?.headers(headers.clone()).header(ACCEPT_ENCODING, "identity");
        let request = match form {
            Some(form) => request.form(form),
            None => request,
        };
        let stall = self.policy.stall_timeout;
        let response = match timeout(stall, request.send()).await {
            Ok(sent) => sent.map_err(|error| FetchError::network(url, &error))?,
            Err(_) => return Err(FetchError::stalled(url, stall)),
        };
        if response.status().is_success()
            && !response.headers().get_all(CONTENT_ENCODING).iter().all(names_no_coding)
        {
            return Err(FetchError::Encoded { host: host(url) });
        }
        Ok(response)
    }

    /// The next chunk of a body, `None` at its end.
    pub(super) async fn chunk(
        &self,
        url: &Url,
        response: &mut Response,
    ) -> Result<Option<bytes::Bytes>, FetchError> {
        let stall = self.policy.stall_timeout;
        match timeout(stall, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| FetchError::network(url, &error)),
            Err(_) => Err(FetchError::stalled(url, stall)),
        }
    }
}

/// True where `Content-Encoding` names nothing that changes the bytes: nothing at all, `identity`, the `none` of some tools, and
/// `aws-chunked`, which S3 should have removed when it stored an upload. [`body`](super::body) refuses a body that is still in such
/// chunks.
fn names_no_coding(value: &HeaderValue) -> bool {
    let is_none = |coding: &[u8]| {
        [b"".as_slice(), b"identity", b"none", b"aws-chunked"]
            .iter()
            .any(|none| coding.trim_ascii().eq_ignore_ascii_case(none))
    };
    value.as_bytes().split(|&byte| byte == b',').all(is_none)
}

fn build_client(policy: &FetchPolicy, resolver: Option<GuardedResolver>) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT.min(policy.stall_timeout))
        .pool_max_idle_per_host(policy.idle_connections)
        .user_agent(concat!("bedel/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = &policy.extra_ca {
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
    }
    builder = match &policy.proxy {
        ProxyChoice::Direct => builder.no_proxy(),
        ProxyChoice::Environment => builder,
        // The proxy resolves names. The guard would only see the proxy's own address.
        ProxyChoice::Url(proxy) => return builder.no_proxy().proxy(Proxy::all(proxy.0.clone())?).build(),
    };
    match resolver {
        Some(resolver) => builder.dns_resolver(Arc::new(resolver)),
        None => builder,
    }
    .build()
}

/// The addresses among `host:port` pairs.
fn literal_addresses(pairs: &[String]) -> Vec<Network> {
    let address = |pair: &String| {
        let (host, _) = pair.trim().rsplit_once(':')?;
        let address: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        Some(address.into())
    };
    pairs.iter().filter_map(address).collect()
}

/// Where a redirect leads. `None` for any other response.
pub(super) fn redirect_target(url: &Url, response: &Response) -> Option<Result<Url, FetchError>> {
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

/// Only status 200 carries a whole body.
pub(super) fn require_ok(url: &Url, response: Response) -> Result<Response, FetchError> {
    if response.status() == StatusCode::OK { Ok(response) } else { Err(status_error(url, &response)) }
}

/// The error of a status.
pub(super) fn status_error(url: &Url, response: &Response) -> FetchError {
    FetchError::Status {
        host: host(url),
        status: response.status().as_u16(),
        retry_after: retry_after::delay(response.headers()),
        html: content_type(response).is_some_and(|text| text.to_ascii_lowercase().starts_with("text/html")),
    }
}

pub(super) fn content_type(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?;
    value.to_str().ok().map(str::to_owned)
}
