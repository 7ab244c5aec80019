//! Downloads a recording that is published as an HLS playlist (RFC 8216).
//!
//! ffmpeg reads playlists too, but it skips missing segments and ends with success, requests whatever a playlist names, and
//! fetches one segment after another.
//!
//! 1. `master` picks one of several streams.
//! 2. `playlist` reads the stream's segments and checks every URL before the first request.
//! 3. `segments` fetches all of them, or fails.
//! 4. `join` concatenates them into local files for ffmpeg.

mod decrypt;
mod join;
mod master;
mod playlist;
mod segments;

use std::time::Duration;

use bedel_fetch::body::BodyKind;
use bedel_fetch::{Fetcher, MAX_PLAYLIST_BYTES, SmallBody, host, require_media};
use m3u8_rs::Playlist;

use self::segments::Segments;
use super::download_dir::DownloadDir;
use super::error::SourceError;
use super::files::{Progress, Source};

/// Longest fetch of a playlist, from connecting to the last byte.
const PLAYLIST_TIMEOUT: Duration = Duration::from_secs(120);

/// Downloads the recording of a playlist.
pub(super) async fn download(
    fetcher: &Fetcher,
    playlist: SmallBody,
    dir: &DownloadDir,
    max_bytes: u64,
    progress: &impl Progress,
) -> Result<Source, SourceError> {
    let (base, media) = match parse(&playlist.bytes)? {
        Playlist::MediaPlaylist(media) => (playlist.url, media),
        Playlist::MasterPlaylist(master) => {
            let url = fetcher.resolve(&playlist.url, master::choose(&master)?)?;
            let body = fetcher.get_bytes(&url, MAX_PLAYLIST_BYTES, PLAYLIST_TIMEOUT).await?;
            if body.kind() != BodyKind::Hls {
                require_media(body.kind(), host(&body.url))?;
            }
            match parse(&body.bytes)? {
                Playlist::MediaPlaylist(media) => (body.url, media),
                Playlist::MasterPlaylist(_) => {
                    return Err(SourceError::Refused { what: "streams within streams" });
                }
            }
        }
    };
    let recording = playlist::read(&media, |uri| fetcher.resolve(&base, uri))?;
    let segments = Segments::prepare(fetcher, dir, &recording, max_bytes).await?;
    let finished = segments.finished().await?;
    progress.begin_segments(recording.entries.len());
    segments.fetch(&finished, |number| progress.segment(number)).await?;
    let runs = join::join(&segments, &recording, dir).await?;
    Ok(Source { runs, announced_seconds: Some(recording.seconds) })
}

fn parse(bytes: &[u8]) -> Result<Playlist, SourceError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    m3u8_rs::parse_playlist_res(bytes).map_err(|_| SourceError::Unreadable)
}
