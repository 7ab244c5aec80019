//! Bodies streamed to files.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::body::{self, BodyKind};
use super::part_file::PartFile;
use super::validator::ContentRange;
use super::{FetchError, Fetcher, SmallBody, content_type, refused, rules, successful};

/// Largest playlist read, in bytes. One of three hours in pieces of two seconds has some 500 kB.
pub const MAX_PLAYLIST_BYTES: u64 = 8 * 1024 * 1024;

/// How often one call goes on with a transfer that broke off, as long as each time brought something.
const MAX_RESUMES: u32 = 20;

/// Pause before it does.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// A server that sends less than this within [`SLOW_STALLS`] stall timeouts is as good as silent. 256 KiB in five minutes are
/// less than a tenth of the sound.
const SLOW_BYTES: u64 = 256 * 1024;
const SLOW_STALLS: u32 = 5;

/// What a body was.
#[derive(Debug)]
pub enum Arrived {
    /// A media file, which is there now.
    File,
    /// A playlist, with the address that gave it.
    Playlist(SmallBody),
}

/// The bytes that are wanted of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exact {
    /// The first.
    pub first: u64,
    /// How many. At least 1.
    pub length: u64,
}

/// Bytes in a stretch of time.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Fetcher {
    /// Streams the media file at `url` to `part`, behind what is there of it already. `progress` gets the bytes so far and
    /// the size, where it is known, at each piece that arrives.
    ///
    /// The body has to be a media file or a playlist: what it is is decided by its first bytes, before the rest is fetched.
    /// It may have at most `FetchSettings::max_bytes`; a server that sends nothing for `stall_timeout`, or next to nothing
    /// for five times as long, is given up; the length that was announced has to arrive. A transfer that breaks off is
    /// gone on with, here and at the next call, where the server says by which mark the file is known. How long it may
    /// take in all is for the caller's timeout.
    ///
    /// # Errors
    /// Any [`FetchError`]. What arrived stays in `part`.
    pub async fn transfer(
        &self,
        url: &Url,
        part: &mut PartFile,
        mut progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<Arrived, FetchError> {
        let mut resumes = 0;
        loop {
            let before = part.len();
            let outcome = self.transfer_once(url, part, &mut progress).await;
            part.flush().await.map_err(|error| FetchError::disk(&error))?;
            match outcome {
                Err(error)
                    if error.is_interruption()
                        && !matches!(error, FetchError::TooSlow { .. })
                        && resumes < MAX_RESUMES
                        && part.len() > before
                        && part.if_range().is_some() =>
                {
                    resumes += 1;
                    tracing::info!(%error, bytes = part.len(), "the transfer broke off and is gone on with");
                    tokio::time::sleep(RESUME_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn transfer_once(
        &self,
        url: &Url,
        part: &mut PartFile,
        progress: &mut (impl FnMut(u64, Option<u64>) + Send),
    ) -> Result<Arrived, FetchError> {
        if part.is_whole() {
            progress(part.len(), Some(part.len()));
            return Ok(Arrived::File);
        }
        let Some((url, mut response)) = self.behind(url, part).await? else { return Ok(Arrived::File) };
        let host = || rules::host(&url);
        let limit = self.settings.max_bytes;
        let total = part.validator().total;
        if total.is_some_and(|total| total > limit) {
            return Err(FetchError::TooLarge { host: host(), limit });
        }
        let mut pace = Pace { since: Instant::now(), bytes: 0 };
        if part.is_empty() {
            let content_type = content_type(&response);
            let mut head = Vec::new();
            while head.len() < body::HEAD_BYTES
                && let Some(chunk) = self.piece(&url, &mut response, part, total).await?
            {
                head.extend_from_slice(&chunk);
            }
            let kind = body::sniff(&head, content_type.as_deref());
            if kind == BodyKind::Hls {
                let playlist = self.read_small(&url, response, head, MAX_PLAYLIST_BYTES).await?;
                return Ok(Arrived::Playlist(playlist));
            }
            require_media(kind, host())?;
            self.take(part, &head, &url, limit, &mut pace).await?;
            progress(part.len(), total);
        }
        while let Some(chunk) = self.piece(&url, &mut response, part, total).await? {
            self.take(part, &chunk, &url, limit, &mut pace).await?;
            progress(part.len(), total);
        }
        require_whole(part, &url, total).map(|()| Arrived::File)
    }

    /// An answer whose body comes behind what `part` holds: the rest where the server has it, otherwise all, and then
    /// `part` was emptied. None where nothing is missing.
    async fn behind(&self, url: &Url, part: &mut PartFile) -> Result<Option<(Url, Response)>, FetchError> {
        let disk = |error| FetchError::disk(&error);
        if let Some(mark) = part.if_range().and_then(|mark| HeaderValue::from_str(mark).ok()) {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range(part.len(), None));
            headers.insert(IF_RANGE, mark);
            let (from, response) = self.get(url, &headers).await?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT if part.validator().is_continued_by(&response, part.len()) => {
                    return Ok(Some((from, response)));
                }
                // Another version, or a server that knows no ranges.
                StatusCode::OK => {
                    part.begin(&response).await.map_err(disk)?;
                    return Ok(Some((from, response)));
                }
                StatusCode::RANGE_NOT_SATISFIABLE
                    if ContentRange::of(&response).and_then(|range| range.total) == Some(part.len()) =>
                {
                    return Ok(None);
                }
                // Not what was asked for: what is there may not belong to it.
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {}
                _ => return Err(refused(&from, &response)),
            }
        }
        let (from, response) = self.get(url, &HeaderMap::new()).await?;
        let response = successful(&from, response)?;
        part.begin(&response).await.map_err(disk)?;
        Ok(Some((from, response)))
    }

    /// Streams a body, or the given bytes of it, to `part`, which was just created. At most `limit` bytes. Returns whether
    /// the server told how long it is: otherwise one that was cut off looks like a whole one.
    ///
    /// # Errors
    /// Any [`FetchError`]; `RangeIgnored` where other bytes came than were asked for.
    pub async fn fetch_exactly(
        &self,
        url: &Url,
        bytes: Option<Exact>,
        part: &mut PartFile,
        limit: u64,
    ) -> Result<bool, FetchError> {
        let mut headers = HeaderMap::new();
        if let Some(bytes) = bytes {
            headers.insert(RANGE, range(bytes.first, Some(bytes.length)));
        }
        let (url, mut response) = self.get(url, &headers).await?;
        let host = || rules::host(&url);
        let expected = match (bytes, response.status()) {
            (None, StatusCode::OK) => response.content_length(),
            (Some(bytes), StatusCode::PARTIAL_CONTENT) => {
                let last = bytes.first + (bytes.length - 1);
                let came = ContentRange::of(&response);
                if came.is_none_or(|came| (came.first, came.last) != (Some(bytes.first), Some(last))) {
                    return Err(FetchError::RangeIgnored { host: host() });
                }
                Some(bytes.length)
            }
            (Some(_), StatusCode::OK) => return Err(FetchError::RangeIgnored { host: host() }),
            _ => return Err(refused(&url, &response)),
        };
        // The end of a chunked body is marked.
        let is_checked = expected.is_some() || response.headers().contains_key(TRANSFER_ENCODING);
        let limit = limit.min(self.settings.max_bytes);
        if expected.is_some_and(|expected| expected > limit) {
            return Err(FetchError::TooLarge { host: host(), limit });
        }
        part.begin(&response).await.map_err(|error| FetchError::disk(&error))?;
        let mut pace = Pace { since: Instant::now(), bytes: 0 };
        while let Some(chunk) = self.piece(&url, &mut response, part, expected).await? {
            self.take(part, &chunk, &url, limit, &mut pace).await?;
        }
        part.flush().await.map_err(|error| FetchError::disk(&error))?;
        require_whole(part, &url, expected).map(|()| is_checked)
    }

    /// The next piece of a body that goes to `part`, `None` at its end. Where the connection ended early it says how much is
    /// missing instead of what the socket said.
    async fn piece(
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
            piece => piece,
        }
    }

    /// Takes a piece in, within the limits of size and pace.
    async fn take(
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
        let stretch = self.settings.stall_timeout * SLOW_STALLS;
        if pace.since.elapsed() < stretch {
            return Ok(());
        }
        if pace.bytes < SLOW_BYTES {
            return Err(FetchError::TooSlow {
                host: rules::host(url),
                bytes: pace.bytes,
                seconds: stretch.as_secs(),
            });
        }
        *pace = Pace { since: Instant::now(), bytes: 0 };
        Ok(())
    }
}

/// What was announced has to have arrived.
fn require_whole(part: &PartFile, url: &Url, total: Option<u64>) -> Result<(), FetchError> {
    match total.filter(|&total| total != part.len()) {
        Some(announced) => Err(cut(part, url, announced)),
        None => Ok(()),
    }
}

fn cut(part: &PartFile, url: &Url, announced: u64) -> FetchError {
    FetchError::Cut { host: rules::host(url), received: part.len(), announced }
}

/// `bytes=FIRST-` or `bytes=FIRST-LAST`.
fn range(first: u64, length: Option<u64>) -> HeaderValue {
    let last = length.map(|length| (first + length - 1).to_string()).unwrap_or_default();
    HeaderValue::from_str(&format!("bytes={first}-{last}")).expect("digits, a dash and an equals sign")
}

/// What each kind of body means for a recording from `host`.
pub fn require_media(kind: BodyKind, host: String) -> Result<(), FetchError> {
    match kind {
        BodyKind::Media => Ok(()),
        BodyKind::Login => Err(FetchError::Login { host }),
        _ => Err(FetchError::NotMedia { host, found: kind }),
    }
}
