//! A POST whose answer is its status.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::client::Fetcher;
use super::error::FetchError;
use super::retry_after;

/// Most bytes of an answer's body that are read and dropped, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 4 * 1024;

/// The answer to a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostAnswer {
    /// Any status. Redirects are not followed.
    pub status: u16,
    /// The delay of a `Retry-After` header: 5 seconds to an hour.
    pub retry_after: Option<Duration>,
}

impl Fetcher {
    /// Posts `body` and returns the status. Redirects are not followed. Of the answer's body at most 4 KiB are read, and
    /// dropped.
    ///
    /// # Errors
    /// `Refused` for a forbidden address, `Network`, `TimedOut` where no status came within `total_timeout`.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: String,
        total_timeout: Duration,
    ) -> Result<PostAnswer, FetchError> {
        let deadline = Instant::now() + total_timeout;
        let request = self.request(Method::POST, url)?.headers(headers).body(body);
        let mut response = match timeout(total_timeout, request.send()).await {
            Ok(sent) => sent.map_err(|error| FetchError::network(url, &error))?,
            Err(_) => return Err(FetchError::timed_out(url, total_timeout)),
        };
        let answer = PostAnswer {
            status: response.status().as_u16(),
            retry_after: retry_after::delay(response.headers()),
        };
        // The status says it all: a body that stalls or breaks changes nothing.
        let mut read = 0;
        while read < MAX_ANSWER_BYTES
            && let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await
        {
            read += chunk.len();
        }
        Ok(answer)
    }
}
