//! Chunks of a body, appended to a file within limits of size and pace.

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::HeaderValue;
use tokio::time::Instant;
use url::Url;

use super::client::Fetcher;
use super::error::FetchError;
use super::part_file::PartFile;
use super::rules;

/// Fewest bytes within [`SLOW_STALLS`] stall timeouts. 256 KiB in five minutes is less than a tenth of the sound's rate.
const SLOW_BYTES: u64 = 256 * 1024;
const SLOW_STALLS: u32 = 5;

/// Bytes received since a moment.
pub(super) struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }
}

impl Fetcher {
    /// The next chunk of a body, `None` at its end. Where the connection ended early, the error says how many bytes are missing
    /// instead of the socket's reason.
    pub(super) async fn next_chunk(
        &self,
        url: &Url,
        response: &mut Response,
        part: &PartFile,
        total: Option<u64>,
    ) -> Result<Option<Bytes>, FetchError> {
        match self.chunk(url, response).await {
            Err(error @ FetchError::Network { .. }) => match total.filter(|&total| part.len() < total) {
                Some(announced) => Err(cut(part, url, announced)),
                None => Err(error),
            },
            chunk => chunk,
        }
    }

    /// Appends a chunk, within the limits of size and pace.
    pub(super) async fn append(
        &self,
        part: &mut PartFile,
        chunk: &[u8],
        url: &Url,
        limit: u64,
        pace: &mut Pace,
    ) -> Result<(), FetchError> {
        if part.len() + chunk.len() as u64 > limit {
            return Err(FetchError::TooLarge { host: rules::host(url), limit });
        }
        part.write(chunk).await.map_err(|error| FetchError::disk(&error))?;
        pace.bytes += chunk.len() as u64;
        let period = self.policy().stall_timeout * SLOW_STALLS;
        if pace.since.elapsed() < period {
            return Ok(());
        }
        if pace.bytes < SLOW_BYTES {
            return Err(FetchError::TooSlow {
                host: rules::host(url),
                bytes: pace.bytes,
                seconds: period.as_secs(),
            });
        }
        *pace = Pace::start();
        Ok(())
    }
}

pub(super) fn require_length(part: &PartFile, url: &Url, total: Option<u64>) -> Result<(), FetchError> {
    match total.filter(|&total| total != part.len()) {
        Some(announced) => Err(cut(part, url, announced)),
        None => Ok(()),
    }
}

fn cut(part: &PartFile, url: &Url, announced: u64) -> FetchError {
    FetchError::Cut { host: rules::host(url), received: part.len(), announced }
}

/// `bytes=FIRST-` or `bytes=FIRST-LAST`.
pub(super) fn range_header(first: u64, length: Option<u64>) -> HeaderValue {
    let last = length.map(|length| (first + length - 1).to_string()).unwrap_or_default();
    HeaderValue::from_str(&format!("bytes={first}-{last}")).expect("digits, a dash and an equals sign")
}
