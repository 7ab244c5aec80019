//! A client like the program's, and helpers for its responses.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, Response};

/// Like the program's client: no proxies, no redirects.
pub fn builder() -> ClientBuilder {
    // Fails if another test has already installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none())
}

pub fn client() -> Client {
    builder().build().unwrap()
}

/// Sends a GET with these headers.
pub async fn get(url: &str, headers: &[(&str, &str)]) -> Response {
    let parse = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
    };
    let headers: HeaderMap = headers.iter().map(parse).collect();
    client().get(url).headers(headers).send().await.unwrap()
}

pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Reads to the end. Returns the number of bytes, and whether the body was complete.
pub async fn drain(mut response: Response) -> (usize, bool) {
    let mut received = 0;
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => received += bytes.len(),
            Ok(None) => return (received, true),
            Err(_) => return (received, false),
        }
    }
}
