//! Downloads a recording that is published as an HLS playlist (RFC 8216).
//!
//! ffmpeg reads playlists too, but it skips missing segments and ends with success, requests whatever a playlist names, and
//! fetches one segment after another.
//!
//! 1. `reader` reads a playlist; `lines` and `attributes` are its parts.
//! 2. `master` picks one of several streams.
//! 3. `playlist` lists what to fetch and checks every URL before the first request.
//! 4. `segments` fetches all of it, or fails. `decrypt` opens a segment, `structure` checks that it is whole.
//! 5. `join` makes local files for ffmpeg, by the rules of `boxes` and `packed`.

mod attributes;
mod boxes;
mod decrypt;
mod join;
mod lines;
mod master;
mod packed;
mod playlist;
mod reader;
mod segments;
mod structure;

use std::time::Duration;

use bedel_fetch::body::BodyKind;
use bedel_fetch::{Fetcher, MAX_PLAYLIST_BYTES, SmallBody, host, require_media};

use self::reader::Playlist;
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
    let (base, media) = match reader::parse(&playlist.bytes)? {
        Playlist::Media(media) => (playlist.url, media),
        Playlist::Master(master) => {
            let url = fetcher.resolve(&playlist.url, master::choose(&master)?)?;
            let body = fetcher.get_bytes(&url, MAX_PLAYLIST_BYTES, PLAYLIST_TIMEOUT).await?;
            if body.kind() != BodyKind::Hls {
                require_media(body.kind(), host(&body.url))?;
            }
            match reader::parse(&body.bytes)? {
                Playlist::Media(media) => (body.url, media),
                Playlist::Master(_) => {
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
