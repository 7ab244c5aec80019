//! Downloads to files that resume where they broke off.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::body::{self, BodyKind};
use super::client::{Fetcher, content_type, require_ok, status_error};
use super::error::{FetchError, require_media};
use super::part_file::PartFile;
use super::rules;
use super::small::SmallBody;
use super::stream::{Pace, range_header, require_length};
use super::validator::ContentRange;
use super::whole::End;

/// Largest playlist read, in bytes. Three hours in segments of two seconds take some 500 kB.
pub const MAX_PLAYLIST_BYTES: u64 = 8 * 1024 * 1024;

/// Resumes within one call. Each must have added bytes.
const MAX_RESUMES: u32 = 20;

/// Pause before a broken download resumes.
pub const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// What a media address turned out to serve.
#[derive(Debug)]
pub enum MediaDownload {
    /// A media file. It is complete.
    File,
    /// A playlist, with the address that sent it.
    Playlist(SmallBody),
}

/// Which bodies a download accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accept {
    /// Media files; playlists are read whole instead.
    Media,
    /// Anything.
    Any,
}

impl Fetcher {
    /// Downloads the media file at `url` to `part`, behind the bytes that `part` has. `progress` gets the bytes so far, and the
    /// size where it is known, with each chunk.
    ///
    /// The first bytes of the body decide whether it is a media file or a playlist; anything else is refused before the
    /// rest is fetched. A body may have at most [`FetchPolicy::max_bytes`](super::FetchPolicy::max_bytes). A server that is
    /// silent for `stall_timeout`, or sends less than 256 KiB in five times as long, has stalled. The announced length has to
    /// arrive. A broken download resumes, in this call and in the next, if the server sent an entity tag or a date. The caller
    /// limits the total time.
    ///
    /// # Errors
    /// Any [`FetchError`]. The bytes received stay in `part`.
    pub async fn download_media(
        &self,
        url: &Url,
        part: &mut PartFile,
        mut progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<MediaDownload, FetchError> {
        let playlist = self.resume(url, part, &mut progress, Accept::Media).await?;
        Ok(playlist.map_or(MediaDownload::File, MediaDownload::Playlist))
    }

    /// Downloads any file to `part`, by the limits and with the progress of [`Fetcher::download_media`].
    ///
    /// # Errors
    /// Any [`FetchError`]. The bytes received stay in `part`.
    pub async fn download(
        &self,
        url: &Url,
        part: &mut PartFile,
        mut progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<(), FetchError> {
        self.resume(url, part, &mut progress, Accept::Any).await.map(drop)
    }

    /// Requests the body until it is complete. Returns a playlist instead, where one is sent and accepted.
    ///
    /// A length may be wrong. Where it is too large, the body ends early twice at the same byte, and the file's own structure ends
    /// there, the file is complete. Where it is too small, the structure ends behind it, and a server with ranges sends the rest.
    async fn resume(
        &self,
        url: &Url,
        part: &mut PartFile,
        progress: &mut (impl FnMut(u64, Option<u64>) + Send),
        accept: Accept,
    ) -> Result<Option<SmallBody>, FetchError> {
        let (mut resumes, mut short) = (0, None);
        loop {
            let before = part.len();
            let outcome = self.request_rest(url, part, progress, accept).await;
            part.flush().await.map_err(|error| FetchError::disk(&error))?;
            match outcome {
                Err(FetchError::Cut { received, announced, .. })
                    if short == Some((received, announced)) && end(part).await? == End::Whole =>
                {
                    tracing::info!(received, announced, "the media is whole; its server announced more");
                    return Ok(None);
                }
                Err(error)
                    if error.is_interruption()
                        && !matches!(error, FetchError::TooSlow { .. })
                        && resumes < MAX_RESUMES
                        && self.may_resume(&error, part, before, &mut short).await? =>
                {
                    resumes += 1;
                    tracing::info!(%error, bytes = part.len(), "the download broke off and resumes");
                    tokio::time::sleep(RESUME_PAUSE).await;
                }
                Ok(None) | Err(FetchError::NotMedia { found: BodyKind::Empty, .. })
                    if accept == Accept::Media && end(part).await? == End::Cut =>
                {
                    let received = part.len();
                    return match self.request_beyond(url, part, progress).await {
                        Ok(Some(playlist)) => Ok(playlist),
                        Err(error) if part.len() > received => Err(error),
                        _ => outcome,
                    };
                }
                outcome => return outcome,
            }
        }
    }

    /// True where another request may bring more: bytes came and the server can resume, or the file looks whole and the server did
    /// not yet confirm its end.
    async fn may_resume(
        &self,
        error: &FetchError,
        part: &PartFile,
        before: u64,
        short: &mut Option<(u64, u64)>,
    ) -> Result<bool, FetchError> {
        if let &FetchError::Cut { received, announced, .. } = error
            && short.is_none()
            && end(part).await? == End::Whole
        {
            *short = Some((received, announced));
            return Ok(true);
        }
        Ok(part.len() > before && part.if_range().is_some())
    }

    async fn request_rest(
        &self,
        url: &Url,
        part: &mut PartFile,
        progress: &mut (impl FnMut(u64, Option<u64>) + Send),
        accept: Accept,
    ) -> Result<Option<SmallBody>, FetchError> {
        if part.is_complete() {
            progress(part.len(), Some(part.len()));
            return Ok(None);
        }
        let Some((url, response)) = self.open_rest(url, part).await? else { return Ok(None) };
        self.receive(&url, response, part, progress, accept).await
    }

    /// Requests the bytes after the announced end. `None` if the server has no more, or does not say.
    async fn request_beyond(
        &self,
        url: &Url,
        part: &mut PartFile,
        progress: &mut (impl FnMut(u64, Option<u64>) + Send),
    ) -> Result<Option<Option<SmallBody>>, FetchError> {
        let headers = HeaderMap::from_iter([(RANGE, range_header(part.len(), None))]);
        let (url, response) = self.get(url, &headers).await?;
        let sent = ContentRange::of(&response).filter(|_| response.status() == StatusCode::PARTIAL_CONTENT);
        let (Some(first), Some(total)) = (sent.and_then(|sent| sent.first), sent.and_then(|sent| sent.total))
        else {
            return Ok(None);
        };
        if first != part.len() || total <= part.len() {
            return Ok(None);
        }
        tracing::info!(bytes = part.len(), total, "the server announced less than it has");
        part.set_total(total);
        let received = self.receive(&url, response, part, progress, Accept::Media).await;
        part.flush().await.map_err(|error| FetchError::disk(&error))?;
        received.map(Some)
    }

    /// Receives the body of `response` behind the bytes of `part`.
    async fn receive(
        &self,
        url: &Url,
        mut response: Response,
        part: &mut PartFile,
        progress: &mut (impl FnMut(u64, Option<u64>) + Send),
        accept: Accept,
    ) -> Result<Option<SmallBody>, FetchError> {
        let host = || rules::host(url);
        let limit = self.policy().max_bytes;
        let total = part.validator().total;
        if total.is_some_and(|total| total > limit) {
            return Err(FetchError::TooLarge { host: host(), limit });
        }
        let mut pace = Pace::start();
        if accept == Accept::Media && part.is_empty() {
            let content_type = content_type(&response);
            let (mut head, mut broken) = (Vec::new(), None);
            while head.len() < body::HEAD_BYTES && broken.is_none() {
                match self.next_chunk(url, &mut response, part, total).await {
                    Ok(Some(chunk)) => head.extend_from_slice(&chunk),
                    Ok(None) => break,
                    Err(error) => broken = Some(error),
                }
            }
            let kind = body::sniff(&head, content_type.as_deref());
            match broken {
                Some(error) if kind != BodyKind::Media => return Err(error),
                None if kind == BodyKind::Hls => {
                    return self.read_small(url, response, head, MAX_PLAYLIST_BYTES).await.map(Some);
                }
                _ => require_media(kind, host())?,
            }
            self.append(part, &head, url, limit, &mut pace).await?;
            progress(part.len(), total);
            match broken {
                None => {}
                Some(FetchError::Cut { host, announced, .. }) => {
                    return Err(FetchError::Cut { host, received: part.len(), announced });
                }
                Some(error) => return Err(error),
            }
        }
        while let Some(chunk) = self.next_chunk(url, &mut response, part, total).await? {
            self.append(part, &chunk, url, limit, &mut pace).await?;
            progress(part.len(), total);
        }
        require_length(part, url, total).map(|()| None)
    }

    /// A response whose body continues `part`: the rest where the server has it, otherwise the whole file after emptying
    /// `part`. `None` where nothing is missing.
    async fn open_rest(&self, url: &Url, part: &mut PartFile) -> Result<Option<(Url, Response)>, FetchError> {
        let disk = |error| FetchError::disk(&error);
        if let Some(validator) = part.if_range().and_then(|text| HeaderValue::from_str(text).ok()) {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range_header(part.len(), None));
            headers.insert(IF_RANGE, validator);
            let (from, response) = self.get(url, &headers).await?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT if part.validator().is_continued_by(&response, part.len()) => {
                    return Ok(Some((from, response)));
                }
                // Another version, or a server without ranges.
                StatusCode::OK => {
                    part.restart(&response).await.map_err(disk)?;
                    return Ok(Some((from, response)));
                }
                StatusCode::RANGE_NOT_SATISFIABLE
                    if ContentRange::of(&response).and_then(|range| range.total) == Some(part.len()) =>
                {
                    return Ok(None);
                }
                // A wrong range: the bytes in `part` may belong to another file.
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {}
                _ => return Err(status_error(&from, &response)),
            }
        }
        let (from, response) = self.get(url, &HeaderMap::new()).await?;
        let response = require_ok(&from, response)?;
        part.restart(&response).await.map_err(disk)?;
        Ok(Some((from, response)))
    }
}

/// What the structure of a file says about its end.
async fn end(part: &PartFile) -> Result<End, FetchError> {
    part.end().await.map_err(|error| FetchError::disk(&error))
}
