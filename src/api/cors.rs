//! CORS (WHATWG Fetch): only the listed origins may call the API from a browser.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

/// How long browsers cache a preflight answer.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Allowed origins. An empty list blocks all cross-origin browser calls.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<HeaderValue>);

/// A text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an origin: write scheme and host only, such as https://tenant.hosted.panopto.com or \
     chrome-extension://ID"
)]
pub struct NoOrigin(String);

impl FromStr for Origins {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        origins.map(origin).collect::<Result<_, _>>().map(Self)
    }
}

/// Browsers send one spelling of an origin, and it is compared byte by byte.
fn origin(text: &str) -> Result<HeaderValue, NoOrigin> {
    let refused = || NoOrigin(text.chars().filter(|c| !c.is_control()).take(200).collect());
    let url = Url::parse(text).map_err(|_| refused())?;
    let host = url.host_str().filter(|host| !host.is_empty() && !host.contains('*')).ok_or_else(refused)?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let spelling = format!("{}://{host}{port}", url.scheme());
    if spelling != text {
        return Err(refused());
    }
    HeaderValue::from_str(&spelling).map_err(|_| refused())
}

impl Origins {
    /// Answers preflights, which carry no credential, and adds the headers to other answers.
    pub(super) fn layer(&self) -> CorsLayer {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.clone()))
            // Clients may ask with `credentials: "include"`, which needs this header. The session's cookie still counts for
            // no origin but our own: see `auth::same_origin`.
            .allow_credentials(true)
            .allow_methods([
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
                Method::OPTIONS,
            ])
            // Never X-Forwarded-Host: `auth::same_origin` relies on it.
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::RANGE, header::IF_RANGE])
            .expose_headers([
                header::ACCEPT_RANGES,
                header::CONTENT_DISPOSITION,
                header::CONTENT_LENGTH,
                header::CONTENT_RANGE,
                header::ETAG,
                header::RETRY_AFTER,
                header::WWW_AUTHENTICATE,
                HeaderName::from_static("x-request-id"),
            ])
            .max_age(MAX_AGE)
            .vary([header::ORIGIN])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let origins: Origins =
            "https://rochester.hosted.panopto.com, chrome-extension://abcdefghijklmnop ,http://localhost:3000,".parse().unwrap();
        assert_eq!(origins.0.len(), 3);
        assert!("".parse::<Origins>().unwrap().0.is_empty());
        for text in [
            "*",
            "https://*.panopto.com",
            "https://a.example/",
            "https://a.example/x",
            "https://A.example",
            "https://a.example:443",
            "https://u@a.example",
            "a.example",
            "null",
            "https://a.example\r\nx",
        ] {
            assert!(text.parse::<Origins>().is_err(), "{text}");
        }
    }
}
