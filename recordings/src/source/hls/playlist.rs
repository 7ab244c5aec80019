//! A playlist of segments, taken apart and checked before anything that it names is asked for.

use bedel_fetch::{Exact, FetchError, place};
use m3u8_rs::{ByteRange, Key, KeyMethod, MediaPlaylist, MediaSegment};
use sha2::{Digest, Sha256};
use url::Url;

use crate::source::error::SourceError;

/// Most segments of one recording: eleven hours in pieces of two seconds.
const MAX_SEGMENTS: usize = 20_000;

/// Most stretches that begin anew, each of which is put together by itself.
const MAX_RUNS: usize = 500;

/// Longest recording, in seconds.
const MAX_SECONDS: f64 = 48.0 * 3600.0;

/// One thing to fetch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) url: Url,
    pub(super) bytes: Option<Exact>,
    pub(super) cipher: Option<Cipher>,
}

/// AES-128 in CBC mode.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cipher {
    pub(super) key: Url,
    pub(super) iv: [u8; 16],
}

/// A segment, or what stands before segments (`EXT-X-MAP`).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// What stands before the segments that follow. A new run begins with it.
    Map(Piece),
    /// A segment. `joins` is false where time or coding begin anew.
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
    /// Length in seconds that the playlist vouches for.
    pub(super) seconds: f64,
    /// The same for the same recording, whatever signatures its URLs carry.
    pub(super) fingerprint: String,
}

/// Where the key is, and the vector where the playlist names one.
type KeyAndVector = (Url, Option<[u8; 16]>);

/// What holds for the segments that follow.
#[derive(Default)]
struct Context {
    cipher: Option<KeyAndVector>,
    /// Where the last byte range ended.
    end: Option<(Url, u64)>,
    map: Option<Piece>,
}

/// Reads a media playlist. `resolve` turns a URI of it into a URL that may be asked.
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
                // The library takes this one for unknown.
                ("X-KEY", Some("METHOD=NONE")) => context.cipher = None,
                // It was none that the library could read, and it matters.
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
            let bytes = map.byte_range.as_ref().map(|range| exact(range, 0)).transpose()?;
            let map = Piece { cipher: context.cipher_for(sequence), url, bytes };
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
    /// Without a vector of its own a segment's number is one (RFC 8216, 5.2).
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
        let bytes = match &segment.byte_range {
            None => None,
            Some(range) => {
                // Without a place a range begins where the last one of the same file ended.
                let end = self.end.take().filter(|(file, _)| *file == url).map(|(_, end)| end);
                let first = range.offset.or(end).ok_or(SourceError::Unreadable)?;
                let bytes = exact(range, first)?;
                self.end = Some((url.clone(), bytes.first + bytes.length));
                Some(bytes)
            }
        };
        Ok(Piece { url, bytes, cipher: self.cipher_for(sequence) })
    }
}

fn exact(range: &ByteRange, first: u64) -> Result<Exact, SourceError> {
    let first = range.offset.unwrap_or(first);
    // Sums of two of them have to fit.
    if range.length == 0 || range.length > 1 << 40 || first > 1 << 40 {
        return Err(SourceError::Unreadable);
    }
    Ok(Exact { first, length: range.length })
}

/// None where the segments that follow are not encrypted.
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

/// The sum of the segments' lengths. Before version 3 of the format they are rounded to whole seconds, each up to half a
/// second too long.
fn seconds(playlist: &MediaPlaylist) -> Result<f64, SourceError> {
    let mut seconds = 0.0;
    for segment in &playlist.segments {
        let one = f64::from(segment.duration);
        if !(one >= 0.0 && one.is_finite()) {
            return Err(SourceError::Unreadable);
        }
        let rounded = playlist.version.unwrap_or(1) < 3 && one.fract() == 0.0;
        seconds += if rounded { (one - 0.5).max(0.0) } else { one };
    }
    if seconds > MAX_SECONDS { Err(SourceError::Refused { what: "more than 48 hours" }) } else { Ok(seconds) }
}

fn fingerprint(entries: &[Entry]) -> String {
    let mut hash = Sha256::new();
    for entry in entries {
        let piece = entry.piece();
        let cipher = piece.cipher.as_ref().map(|cipher| (place(&cipher.key), cipher.iv));
        hash.update(format!("{} {:?} {cipher:?}\n", place(&piece.url), piece.bytes));
    }
    hex::encode(&hash.finalize())
}

#[cfg(test)]
mod tests;
