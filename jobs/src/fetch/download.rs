//! A body streamed to a file.

use std::path::Path;

use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use url::Url;

use super::body::{self, BodyKind};
use super::{FetchError, Fetcher, content_type, rules};

impl Fetcher {
    /// Streams the media file at `url` to `file`, which is created or overwritten. `progress` gets the bytes so far and
    /// the announced size, at each piece that arrives.
    ///
    /// The body has to be a media file: what it is is decided by its first bytes, before the rest is fetched. It may
    /// have at most `FetchSettings::max_bytes`; a server that sends nothing for `stall_timeout` is given up; what
    /// was announced as `Content-Length` has to arrive. How long it may take in all is for the caller's timeout.
    ///
    /// # Errors
    /// Any [`FetchError`]. The file is then of no use.
    pub async fn download_to(
        &self,
        url: &Url,
        file: &Path,
        mut progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<(), FetchError> {
        let (url, mut response) = self.get(url).await?;
        let host = || rules::host(&url);
        let limit = self.settings.max_bytes;
        let announced = response.content_length();
        if announced.is_some_and(|announced| announced > limit) {
            return Err(FetchError::TooLarge { host: host(), limit });
        }
        let content_type = content_type(&response);

        let mut target = BufWriter::new(File::create(file).await.map_err(|error| FetchError::disk(&error))?);
        let mut head = Vec::new();
        let mut known = false;
        let mut received = 0_u64;
        loop {
            let chunk = match self.chunk(&url, &mut response).await {
                Ok(chunk) => chunk,
                // The connection ended early: say how much is missing instead of what the socket said.
                Err(FetchError::Network { host, .. })
                    if announced.is_some_and(|announced| received < announced) =>
                {
                    return Err(FetchError::Cut { host, received, announced: announced.unwrap_or_default() });
                }
                Err(error) => return Err(error),
            };
            if !known {
                head.extend_from_slice(chunk.as_deref().unwrap_or_default());
                if chunk.is_none() || head.len() >= body::HEAD_BYTES {
                    require_media(body::sniff(&head, content_type.as_deref()), host())?;
                    known = true;
                    head = Vec::new();
                }
            }
            let Some(chunk) = chunk else { break };
            received += chunk.len() as u64;
            if received > limit {
                return Err(FetchError::TooLarge { host: host(), limit });
            }
            target.write_all(&chunk).await.map_err(|error| FetchError::disk(&error))?;
            progress(received, announced);
        }
        if let Some(announced) = announced.filter(|&announced| announced != received) {
            return Err(FetchError::Cut { host: host(), received, announced });
        }
        target.flush().await.map_err(|error| FetchError::disk(&error))
    }
}

/// What each kind of body means for a recording from `host`. Playlists get their own way of fetching here one day.
pub(crate) fn require_media(kind: BodyKind, host: String) -> Result<(), FetchError> {
    match kind {
        BodyKind::Media => Ok(()),
        BodyKind::Login => Err(FetchError::Login { host }),
        BodyKind::Playlist | BodyKind::Html | BodyKind::Json | BodyKind::Empty | BodyKind::Other => {
            Err(FetchError::NotMedia { host, found: kind })
        }
    }
}
