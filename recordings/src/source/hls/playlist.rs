//! Reads a playlist of segments and checks every URL in it before the first request.

use bedel_fetch::{ByteRange, FetchError, without_query};
use m3u8_rs::{Key, KeyMethod, MediaPlaylist, MediaSegment};
use sha2::{Digest, Sha256};
use url::Url;

use crate::source::error::SourceError;

/// Most segments of one recording: eleven hours at two seconds each.
const MAX_SEGMENTS: usize = 20_000;

/// Most runs of one recording. Each becomes a file.
const MAX_RUNS: usize = 500;

/// Longest recording, in seconds.
const MAX_SECONDS: f64 = 48.0 * 3600.0;

/// One thing to fetch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) url: Url,
    pub(super) range: Option<ByteRange>,
    pub(super) cipher: Option<Cipher>,
}

/// AES-128 in CBC mode.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cipher {
    pub(super) key: Url,
    pub(super) iv: [u8; 16],
}

/// A segment, or the initialisation section of segments (`EXT-X-MAP`).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// The initialisation section of the segments that follow. A new run begins with it.
    Map(Piece),
    /// A segment. `joins` is false where time or coding restart.
    Segment { piece: Piece, joins: bool },
}

impl Entry {
    pub(super) fn piece(&self) -> &Piece {
        match self {
            Self::Map(piece) | Self::Segment { piece, .. } => piece,
        }
    }
}

/// A recording as its playlist describes it.
#[derive(Debug, PartialEq)]
pub(super) struct Recording {
    /// In order.
    pub(super) entries: Vec<Entry>,
    /// Length in seconds that the playlist announces.
    pub(super) seconds: f64,
    /// Fingerprint of the recording, independent of the signatures in its URLs.
    pub(super) fingerprint: String,
}

/// The key's URL, and the vector if the playlist has one.
type KeyAndVector = (Url, Option<[u8; 16]>);

/// State that applies to the segments that follow.
#[derive(Default)]
struct Context {
    cipher: Option<KeyAndVector>,
    /// The end of the last byte range.
    end: Option<(Url, u64)>,
    map: Option<Piece>,
}

/// Reads a media playlist. `resolve` turns a URI in it into a checked URL.
pub(super) fn read(
    playlist: &MediaPlaylist,
    resolve: impl Fn(&str) -> Result<Url, FetchError>,
) -> Result<Recording, SourceError> {
    if !playlist.end_list {
        return Err(SourceError::Live);
    }
    if playlist.segments.len() > MAX_SEGMENTS {
        return Err(SourceError::Refused { what: "too many parts" });
    }
    if playlist.i_frames_only {
        return Err(SourceError::NoSound);
    }
    let mut entries = Vec::with_capacity(playlist.segments.len());
    let mut context = Context::default();
    let mut runs = 1;
    for (number, segment) in playlist.segments.iter().enumerate() {
        for tag in &segment.unknown_tags {
            match (tag.tag.as_str(), tag.rest.as_deref().map(str::trim)) {
                ("X-GAP", _) => return Err(SourceError::Gap),
                // The library does not know this one.
                ("X-KEY", Some("METHOD=NONE")) => context.cipher = None,
                // The library could not read it, and it matters.
                ("X-KEY" | "X-MAP" | "X-BYTERANGE", _) => return Err(SourceError::Unreadable),
                _ => {}
            }
        }
        if let Some(key) = &segment.key {
            context.cipher = cipher(key, &resolve)?;
        }
        let sequence = playlist.media_sequence + number as u64;
        let mut joins = !segment.discontinuity;
        if let Some(map) = &segment.map {
            let url = resolve(&map.uri)?;
            let range = map.byte_range.as_ref().map(|range| byte_range(range, 0)).transpose()?;
            let map = Piece { cipher: context.cipher_for(sequence), url, range };
            joins &= context.map.as_ref().is_none_or(|known| *known == map);
            if context.map.as_ref() != Some(&map) || !joins {
                entries.push(Entry::Map(map.clone()));
                joins = false;
            }
            context.map = Some(map);
        } else if !joins && let Some(map) = &context.map {
            entries.push(Entry::Map(map.clone()));
        }
        let piece = context.segment(segment, sequence, &resolve)?;
        joins |= number == 0;
        runs += usize::from(!joins);
        entries.push(Entry::Segment { piece, joins });
    }
    if entries.is_empty() {
        return Err(SourceError::Refused { what: "no parts" });
    }
    if runs > MAX_RUNS {
        return Err(SourceError::Refused { what: "too many breaks" });
    }
    let seconds = seconds(playlist)?;
    Ok(Recording { fingerprint: fingerprint(&entries), entries, seconds })
}

impl Context {
    /// Without a vector, a segment's number is the vector (RFC 8216, 5.2).
    fn cipher_for(&self, sequence: u64) -> Option<Cipher> {
        let (key, iv) = self.cipher.clone()?;
        Some(Cipher { key, iv: iv.unwrap_or_else(|| u128::from(sequence).to_be_bytes()) })
    }

    fn segment(
        &mut self,
        segment: &MediaSegment,
        sequence: u64,
        resolve: impl Fn(&str) -> Result<Url, FetchError>,
    ) -> Result<Piece, SourceError> {
        let url = resolve(&segment.uri)?;
        let range = match &segment.byte_range {
            None => None,
            Some(range) => {
                // Without an offset, a range begins where the last one of the same file ended.
                let end = self.end.take().filter(|(file, _)| *file == url).map(|(_, end)| end);
                let first = range.offset.or(end).ok_or(SourceError::Unreadable)?;
                let range = byte_range(range, first)?;
                self.end = Some((url.clone(), range.first + range.length));
                Some(range)
            }
        };
        Ok(Piece { url, range, cipher: self.cipher_for(sequence) })
    }
}

fn byte_range(range: &m3u8_rs::ByteRange, first: u64) -> Result<ByteRange, SourceError> {
    let first = range.offset.unwrap_or(first);
    // The sum of both must not overflow.
    if range.length == 0 || range.length > 1 << 40 || first > 1 << 40 {
        return Err(SourceError::Unreadable);
    }
    Ok(ByteRange { first, length: range.length })
}

/// `None` where the segments that follow are not encrypted.
fn cipher(
    key: &Key,
    resolve: impl Fn(&str) -> Result<Url, FetchError>,
) -> Result<Option<KeyAndVector>, SourceError> {
    match key.method {
        KeyMethod::None => return Ok(None),
        KeyMethod::AES128 => {}
        KeyMethod::SampleAES | KeyMethod::Other(_) => return Err(SourceError::Protected),
    }
    if key.keyformat.as_deref().is_some_and(|format| format != "identity") {
        return Err(SourceError::Protected);
    }
    let url = resolve(key.uri.as_deref().ok_or(SourceError::Unreadable)?)?;
    let iv = key.iv.as_deref().map(|text| vector(text).ok_or(SourceError::Unreadable)).transpose()?;
    Ok(Some((url, iv)))
}

/// `0x` and up to 32 digits.
fn vector(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    (digits.len() <= 32).then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes))?
}

/// The sum of the segments' lengths. Before version 3 of the format they are rounded to whole seconds, so each may be half a
/// second too long.
fn seconds(playlist: &MediaPlaylist) -> Result<f64, SourceError> {
    let mut seconds = 0.0;
    for segment in &playlist.segments {
        let duration = f64::from(segment.duration);
        if !(duration >= 0.0 && duration.is_finite()) {
            return Err(SourceError::Unreadable);
        }
        let rounded = playlist.version.unwrap_or(1) < 3 && duration.fract() == 0.0;
        seconds += if rounded { (duration - 0.5).max(0.0) } else { duration };
    }
    if seconds > MAX_SECONDS { Err(SourceError::Refused { what: "more than 48 hours" }) } else { Ok(seconds) }
}

fn fingerprint(entries: &[Entry]) -> String {
    let mut hash = Sha256::new();
    for entry in entries {
        let piece = entry.piece();
        let cipher = piece.cipher.as_ref().map(|cipher| (without_query(&cipher.key), cipher.iv));
        hash.update(format!("{} {:?} {cipher:?}\n", without_query(&piece.url), piece.range));
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests;
