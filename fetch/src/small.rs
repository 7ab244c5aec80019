//! Small bodies, read whole into memory.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use tokio::time::timeout;
use url::Url;

use super::body::{self, BodyKind};
use super::client::{Fetcher, content_type, redirect_target, require_ok};
use super::error::FetchError;
use super::rules;

/// A small body that was read whole.
#[derive(Debug)]
pub struct SmallBody {
    /// The address that sent it, after redirects.
    pub url: Url,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
}

impl SmallBody {
    /// What it is, by its bytes.
    pub fn kind(&self) -> BodyKind {
        body::sniff(&self.bytes, self.content_type.as_deref())
    }
}

impl Fetcher {
    /// Gets a small body whole, following redirects.
    ///
    /// # Errors
    /// Any [`FetchError`]; `TooLarge` beyond `max_bytes`, `TimedOut` after `total_timeout`.
    pub async fn get_bytes(
        &self,
        url: &Url,
        max_bytes: u64,
        total_timeout: Duration,
    ) -> Result<SmallBody, FetchError> {
        let exchange = async {
            let (url, response) = self.get(url, &HeaderMap::new()).await?;
            let response = require_ok(&url, response)?;
            self.read_small(&url, response, Vec::new(), max_bytes).await
        };
        timeout(total_timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(FetchError::timed_out(url, total_timeout)))
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
        let exchange = async {
            let response = self.send(Method::POST, url, &HeaderMap::new(), Some(form)).await?;
            if let Some(next) = redirect_target(url, &response).transpose()?
                && rules::is_login_path(&next)
            {
                return Err(FetchError::login(&next));
            }
            let response = require_ok(url, response)?;
            self.read_small(url, response, Vec::new(), max_bytes).await
        };
        timeout(total_timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(FetchError::timed_out(url, total_timeout)))
    }

    /// Reads the rest of a body whose first bytes are `bytes`.
    pub(super) async fn read_small(
        &self,
        url: &Url,
        mut response: Response,
        mut bytes: Vec<u8>,
        max_bytes: u64,
    ) -> Result<SmallBody, FetchError> {
        let too_large = || FetchError::TooLarge { host: rules::host(url), limit: max_bytes };
        if response.content_length().is_some_and(|announced| announced > max_bytes) {
            return Err(too_large());
        }
        let content_type = content_type(&response);
        while let Some(chunk) = self.chunk(url, &mut response).await? {
            if bytes.len() as u64 + chunk.len() as u64 > max_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(SmallBody { url: url.clone(), bytes, content_type })
    }
}
