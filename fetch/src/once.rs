//! A body, or a range of one, downloaded in one request.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RANGE, TRANSFER_ENCODING};
use url::Url;

use super::client::{Fetcher, status_error};
use super::error::FetchError;
use super::part_file::PartFile;
use super::rules;
use super::stream::{Pace, range_header, require_length};
use super::validator::ContentRange;

/// A range of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Number of bytes. At least 1.
    pub length: u64,
}

impl Fetcher {
    /// Streams a body, or a range of it, to a new `part`, without resuming. At most `limit` bytes. Returns whether the
    /// server announced the length or marked the end: otherwise a truncated body looks complete.
    ///
    /// # Errors
    /// Any [`FetchError`]; `RangeIgnored` where the server sent other bytes.
    pub async fn download_once(
        &self,
        url: &Url,
        range: Option<ByteRange>,
        part: &mut PartFile,
        limit: u64,
    ) -> Result<bool, FetchError> {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert(RANGE, range_header(range.first, Some(range.length)));
        }
        let (url, mut response) = self.get(url, &headers).await?;
        let host = || rules::host(&url);
        let expected = match (range, response.status()) {
            (None, StatusCode::OK) => response.content_length(),
            (Some(range), StatusCode::PARTIAL_CONTENT) => {
                let last = range.first + (range.length - 1);
                let sent = ContentRange::of(&response);
                if sent.is_none_or(|sent| (sent.first, sent.last) != (Some(range.first), Some(last))) {
                    return Err(FetchError::RangeIgnored { host: host() });
                }
                Some(range.length)
            }
            (Some(_), StatusCode::OK) => return Err(FetchError::RangeIgnored { host: host() }),
            _ => return Err(status_error(&url, &response)),
        };
        // A chunked body marks its end.
        let is_checked = expected.is_some() || response.headers().contains_key(TRANSFER_ENCODING);
        let limit = limit.min(self.policy().max_bytes);
        if expected.is_some_and(|expected| expected > limit) {
            return Err(FetchError::TooLarge { host: host(), limit });
        }
        part.restart(&response).await.map_err(|error| FetchError::disk(&error))?;
        let mut pace = Pace::start();
        while let Some(chunk) = self.next_chunk(&url, &mut response, part, expected).await? {
            self.append(part, &chunk, &url, limit, &mut pace).await?;
        }
        part.flush().await.map_err(|error| FetchError::disk(&error))?;
        require_length(part, &url, expected).map(|()| is_checked)
    }
}
