//! Small bodies that are read whole.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use tokio::time::timeout;
use url::Url;

use super::body::{self, BodyKind};
use super::{FetchError, Fetcher, content_type, location, rules, successful};

/// A small body that was read whole.
#[derive(Debug)]
pub struct SmallBody {
    /// The address that gave it, after redirects.
    pub url: Url,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
}

impl SmallBody {
    /// What it is, told from its bytes.
    pub fn kind(&self) -> BodyKind {
        body::sniff(&self.bytes, self.content_type.as_deref())
    }
}

impl Fetcher {
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
    ) -> Result<SmallBody, FetchError> {
        let all = async {
            let (url, response) = self.get(url, &HeaderMap::new()).await?;
            let response = successful(&url, response)?;
            self.read_small(&url, response, Vec::new(), max_bytes).await
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
            let response = self.send(Method::POST, url, &HeaderMap::new(), Some(form)).await?;
            if let Some(next) = location(url, &response).transpose()?
                && rules::is_login_path(&next)
            {
                return Err(FetchError::login(&next));
            }
            let response = successful(url, response)?;
            self.read_small(url, response, Vec::new(), max_bytes).await
        };
        timeout(total_timeout, all).await.unwrap_or_else(|_| Err(FetchError::timed_out(url, total_timeout)))
    }

    /// The rest of a body, behind what was read of it.
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
