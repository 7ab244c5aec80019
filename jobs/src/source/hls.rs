//! A recording that is published as an HLS playlist (RFC 8216), fetched by ourselves.
//!
//! ffmpeg could read a playlist too, but it leaves out segments that it does not get and ends with success, asks whatever a
//! playlist names, and fetches one segment after another.
//!
//! 1. `master` picks a stream where there are several.
//! 2. `playlist` takes its list apart and checks every URL in it before one is asked.
//! 3. `segments` fetches all of them, or fails.
//! 4. `join` puts them one behind another, for ffmpeg to read as local files.

mod decrypt;
mod error;
mod join;
mod master;
mod playlist;
mod segments;

use std::time::Duration;

use m3u8_rs::Playlist;

pub(crate) use self::error::HlsError;
use self::segments::Segments;
use super::Source;
use super::told::Told;
use super::workplace::Workplace;
use crate::fetch::body::BodyKind;
use crate::fetch::{Fetcher, MAX_PLAYLIST_BYTES, SmallBody, host, require_media};

/// Longest that a playlist takes, from connecting to the last byte.
const PLAYLIST_TIMEOUT: Duration = Duration::from_secs(120);

/// Brings in the recording of a playlist.
pub(super) async fn bring_in(
    fetcher: &Fetcher,
    playlist: SmallBody,
    place: &Workplace,
    told: &Told<'_>,
    max_bytes: u64,
) -> Result<Source, HlsError> {
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
                    return Err(HlsError::Refused { what: "streams within streams" });
                }
            }
        }
    };
    let recording = playlist::read(&media, |uri| fetcher.resolve(&base, uri))?;
    let segments = Segments::prepare(fetcher, place, &recording, max_bytes).await?;
    let finished = segments.finished().await?;
    told.begin_segments(recording.entries.len());
    segments.fetch(&finished, |number| told.segment(number)).await?;
    let runs = join::join(&segments, &recording, place).await?;
    Ok(Source { runs, announced_seconds: Some(recording.seconds) })
}

fn parse(bytes: &[u8]) -> Result<Playlist, HlsError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    m3u8_rs::parse_playlist_res(bytes).map_err(|_| HlsError::Unreadable)
}
