//! Turns a playlist of segments into a list of things to fetch, and checks every URL before the first request.

use bedel_fetch::{ByteRange, FetchError, without_query};
use sha2::{Digest, Sha256};
use url::Url;

use super::reader::{Change, Key, Media, Method, Range, Segment};
use crate::source::error::SourceError;

/// Most runs of one recording. Each becomes a file.
pub(super) const MAX_RUNS: usize = 500;

/// Most key formats that one segment is encrypted for.
const MAX_KEY_FORMATS: usize = 16;

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
    /// The key of each format. A new one replaces the one of the same format (RFC 8216, 4.3.2.4).
    keys: Vec<Key>,
    cipher: Option<KeyAndVector>,
    /// The end of the last byte range.
    end: Option<(Url, u64)>,
    map: Option<Piece>,
}

/// Reads a media playlist. `resolve` turns a URI in it into a checked URL.
pub(super) fn read(
    playlist: &Media,
    resolve: impl Fn(&str) -> Result<Url, FetchError>,
) -> Result<Recording, SourceError> {
    if !playlist.is_whole {
        return Err(SourceError::Live);
    }
    if playlist.is_pictures_only {
        return Err(SourceError::NoSound);
    }
    let mut entries = Vec::with_capacity(playlist.segments.len());
    let mut context = Context::default();
    let mut runs = 1;
    for (number, segment) in playlist.segments.iter().enumerate() {
        if segment.is_gap {
            return Err(SourceError::Gap);
        }
        let sequence = playlist.sequence.saturating_add(number as u64);
        let known_map = context.map.clone();
        context.apply(&segment.changes, sequence, &resolve)?;
        let joins = number == 0 || !segment.is_discontinuous && context.map == known_map;
        if let Some(map) = context.map.as_ref().filter(|_| !joins || number == 0) {
            entries.push(Entry::Map(map.clone()));
        }
        let piece = context.segment(segment, sequence, &resolve)?;
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
    /// Applies keys and maps in their order: a map is encrypted with the key before it, not with the one after it.
    fn apply(
        &mut self,
        changes: &[Change],
        sequence: u64,
        resolve: impl Fn(&str) -> Result<Url, FetchError>,
    ) -> Result<(), SourceError> {
        // Keys of several formats come one after another, and only all of them say how segments are encrypted.
        let mut is_new = false;
        for change in changes {
            match change {
                Change::Key(key) => {
                    self.set_key(key)?;
                    is_new = true;
                }
                Change::Map { uri, range } => {
                    if std::mem::take(&mut is_new) {
                        self.cipher = cipher(&self.keys, &resolve)?;
                    }
                    let range =
                        range.map(|range| byte_range(range, range.offset.unwrap_or(0))).transpose()?;
                    self.map = Some(Piece { cipher: self.cipher_for(sequence), url: resolve(uri)?, range });
                }
            }
        }
        if is_new {
            self.cipher = cipher(&self.keys, &resolve)?;
        }
        Ok(())
    }

    fn set_key(&mut self, key: &Key) -> Result<(), SourceError> {
        if key.method == Method::None {
            self.keys.clear();
            return Ok(());
        }
        self.keys.retain(|known| known.format != key.format);
        if self.keys.len() == MAX_KEY_FORMATS {
            return Err(SourceError::Protected);
        }
        self.keys.push(key.clone());
        Ok(())
    }

    /// Without a vector, a segment's number is the vector (RFC 8216, 5.2).
    fn cipher_for(&self, sequence: u64) -> Option<Cipher> {
        let (key, iv) = self.cipher.clone()?;
        Some(Cipher { key, iv: iv.unwrap_or_else(|| u128::from(sequence).to_be_bytes()) })
    }

    fn segment(
        &mut self,
        segment: &Segment,
        sequence: u64,
        resolve: impl Fn(&str) -> Result<Url, FetchError>,
    ) -> Result<Piece, SourceError> {
        let url = resolve(&segment.uri)?;
        let range = match segment.range {
            None => None,
            Some(range) => {
                let next = self.next_offset(&url);
                let range = byte_range(range, range.offset.or(next).ok_or(SourceError::Unreadable)?)?;
                self.end = Some((url.clone(), range.first + range.length));
                Some(range)
            }
        };
        Ok(Piece { url, range, cipher: self.cipher_for(sequence) })
    }

    /// Without an offset, a range begins where the last one of the same file ended, and the first one at the file's beginning. That
    /// one is unknown where the map is at the beginning.
    fn next_offset(&self, url: &Url) -> Option<u64> {
        match (&self.end, &self.map) {
            (Some((file, end)), _) if file == url => Some(*end),
            (_, Some(map)) if map.url == *url => None,
            _ => Some(0),
        }
    }
}

fn byte_range(range: Range, first: u64) -> Result<ByteRange, SourceError> {
    // The sum of both must not overflow.
    if range.length == 0 || range.length > 1 << 40 || first > 1 << 40 {
        return Err(SourceError::Unreadable);
    }
    Ok(ByteRange { first, length: range.length })
}

/// The plain AES-128 key among those that apply. `None` where segments are not encrypted.
fn cipher(
    keys: &[Key],
    resolve: impl Fn(&str) -> Result<Url, FetchError>,
) -> Result<Option<KeyAndVector>, SourceError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let is_plain = |key: &&Key| key.method == Method::Aes128 && key.format == "identity";
    let key = keys.iter().find(is_plain).ok_or(SourceError::Protected)?;
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
fn seconds(playlist: &Media) -> Result<f64, SourceError> {
    let mut seconds = 0.0;
    for segment in &playlist.segments {
        let rounded = playlist.version < 3 && segment.seconds.fract() == 0.0;
        seconds += if rounded { (segment.seconds - 0.5).max(0.0) } else { segment.seconds };
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
