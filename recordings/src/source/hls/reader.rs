//! Reads playlists (RFC 8216), line by line.
//!
//! Strict about what a recording is made of: every length, key, map and byte range must be readable, each length has its URI and
//! each URI its length. Everything else is ignored: unknown tags, titles, the target duration.
//!
//! A URI is a whole line without `#`, or the value of an attribute. No part of another line becomes one.

use super::attributes::Attributes;
use super::lines;
use crate::source::error::SourceError;

/// Most segments of one recording: eleven hours at two seconds each.
pub(super) const MAX_SEGMENTS: usize = 20_000;

/// Most streams in a master playlist.
const MAX_STREAMS: usize = 1000;

/// Most keys and maps before one segment.
const MAX_CHANGES: usize = 100;

/// Longest line, in bytes. A URL of 4096 bytes and a key fit.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// A playlist.
#[derive(Debug)]
pub(super) enum Playlist {
    /// A list of streams.
    Master(Master),
    /// A list of segments.
    Media(Media),
}

/// The streams of a recording.
#[derive(Debug, Default)]
pub(super) struct Master {
    /// `EXT-X-STREAM-INF`, in order.
    pub(super) variants: Vec<Variant>,
    /// `EXT-X-MEDIA` of type `AUDIO`, in order.
    pub(super) sounds: Vec<Rendition>,
}

/// One stream.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Variant {
    pub(super) uri: String,
    /// Bits per second: the average where it is stated, else the peak.
    pub(super) bandwidth: u64,
    pub(super) codecs: Option<String>,
    pub(super) has_resolution: bool,
    /// Its group of [`Rendition`]s.
    pub(super) audio: Option<String>,
}

/// A sound that is published apart from the picture.
#[derive(Debug, PartialEq)]
pub(super) struct Rendition {
    /// `None`: it is inside the variants of its group.
    pub(super) uri: Option<String>,
    pub(super) is_default: bool,
    pub(super) is_autoselect: bool,
}

/// The segments of one stream.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// True where nothing can follow: `EXT-X-ENDLIST`, or the type VOD, whose playlist "MUST NOT change" (4.3.3.5). Servers forget
    /// the end of a VOD playlist. Every other playlist without an end is live.
    pub(super) is_whole: bool,
    /// `EXT-X-I-FRAMES-ONLY`: pictures alone.
    pub(super) is_pictures_only: bool,
    /// Number of the first segment.
    pub(super) sequence: u64,
    /// Version of the format, 1 where it is not stated.
    pub(super) version: u64,
    pub(super) segments: Vec<Segment>,
}

/// One segment.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Segment {
    pub(super) uri: String,
    /// `EXTINF`, in seconds.
    pub(super) seconds: f64,
    pub(super) range: Option<Range>,
    pub(super) is_discontinuous: bool,
    pub(super) is_gap: bool,
    /// Keys and maps since the segment before, in order.
    pub(super) changes: Vec<Change>,
}

/// A tag that applies to the segments that follow.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// `EXT-X-KEY`.
    Key(Key),
    /// `EXT-X-MAP`.
    Map { uri: String, range: Option<Range> },
}

/// `EXT-X-KEY`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) method: Method,
    /// `KEYFORMAT` in lower case, `identity` where it is not stated.
    pub(super) format: String,
    pub(super) uri: Option<String>,
    pub(super) iv: Option<String>,
}

/// How segments are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    None,
    Aes128,
    Other,
}

/// `LENGTH@OFFSET` or `LENGTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) length: u64,
    pub(super) offset: Option<u64>,
}

/// Reads a playlist. Takes linear time.
///
/// # Errors
/// `Unreadable`; `Refused` where it has too many segments or streams.
pub(super) fn parse(bytes: &[u8]) -> Result<Playlist, SourceError> {
    let bytes = lines::to_utf8(bytes);
    let mut lines = lines::lines(&bytes);
    let first = lines.next().ok_or(SourceError::Unreadable)?;
    if !first.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("#EXTM3U")) {
        return Err(SourceError::Unreadable);
    }
    let mut reader = Reader { media: Media { version: 1, ..Media::default() }, ..Reader::default() };
    for line in lines {
        match line.strip_prefix('#') {
            Some(comment) if !comment.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("EXT")) => {}
            _ if line.len() > MAX_LINE_BYTES => return Err(SourceError::Unreadable),
            Some(tag) => {
                let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
                reader.tag(&name.trim_end().to_ascii_uppercase(), value.trim())?;
            }
            None => reader.uri(&line)?,
        }
    }
    reader.finish()
}

/// A playlist in progress.
#[derive(Default)]
struct Reader {
    master: Master,
    media: Media,
    is_master: bool,
    is_media: bool,
    /// The stream whose URI comes next.
    variant: Option<Variant>,
    /// The segment whose URI comes next.
    next: Segment,
    /// True after the `EXTINF` of that segment.
    has_length: bool,
}

impl Reader {
    fn tag(&mut self, name: &str, value: &str) -> Result<(), SourceError> {
        match name {
            "EXTINF" => {
                // A second length: the URI of the first one is lost.
                if self.has_length {
                    return Err(SourceError::Unreadable);
                }
                self.next.seconds = seconds(value).ok_or(SourceError::Unreadable)?;
                (self.is_media, self.has_length) = (true, true);
            }
            "EXT-X-TARGETDURATION" => self.is_media = true,
            "EXT-X-MEDIA-SEQUENCE" => {
                self.media.sequence = whole_number(value).ok_or(SourceError::Unreadable)?;
            }
            "EXT-X-VERSION" => self.media.version = whole_number(value).unwrap_or(1),
            "EXT-X-ENDLIST" => (self.is_media, self.media.is_whole) = (true, true),
            "EXT-X-PLAYLIST-TYPE" => self.media.is_whole |= value.eq_ignore_ascii_case("VOD"),
            "EXT-X-I-FRAMES-ONLY" => self.media.is_pictures_only = true,
            "EXT-X-DISCONTINUITY" => self.next.is_discontinuous = true,
            "EXT-X-GAP" => self.next.is_gap = true,
            // Segments are left out, which only a client that asked for it can fill in.
            "EXT-X-SKIP" => return Err(SourceError::Unreadable),
            "EXT-X-BYTERANGE" => self.next.range = Some(range(value)?),
            "EXT-X-KEY" => self.next.changes.push(Change::Key(key(value)?)),
            "EXT-X-MAP" => self.next.changes.push(map(value)?),
            "EXT-X-STREAM-INF" => (self.is_master, self.variant) = (true, Some(variant(value))),
            "EXT-X-I-FRAME-STREAM-INF" => self.is_master = true,
            "EXT-X-MEDIA" => {
                self.is_master = true;
                self.master.sounds.extend(rendition(value));
            }
            _ => {}
        }
        // Both grow without a URI.
        match (self.master.sounds.len() > MAX_STREAMS, self.next.changes.len() > MAX_CHANGES) {
            (true, _) => Err(SourceError::Refused { what: "too many streams" }),
            (_, true) => Err(SourceError::Refused { what: "too many keys" }),
            _ => Ok(()),
        }
    }

    fn uri(&mut self, line: &str) -> Result<(), SourceError> {
        if let Some(variant) = self.variant.take() {
            if self.master.variants.len() == MAX_STREAMS {
                return Err(SourceError::Refused { what: "too many streams" });
            }
            self.master.variants.push(Variant { uri: line.to_owned(), ..variant });
        } else if self.has_length {
            if self.media.segments.len() == MAX_SEGMENTS {
                return Err(SourceError::Refused { what: "too many parts" });
            }
            self.has_length = false;
            self.next.uri = line.to_owned();
            self.media.segments.push(std::mem::take(&mut self.next));
        } else if !self.is_master {
            // A segment without its length, or the rest of a broken line.
            return Err(SourceError::Unreadable);
        }
        Ok(())
    }

    fn finish(self) -> Result<Playlist, SourceError> {
        match (self.is_master, self.is_media) {
            (true, false) => Ok(Playlist::Master(self.master)),
            (false, true) if !self.has_length => Ok(Playlist::Media(self.media)),
            // Both, neither, or the last URI is missing.
            _ => Err(SourceError::Unreadable),
        }
    }
}

/// The number before the title. A comma ends it; some servers leave the comma out.
fn seconds(value: &str) -> Option<f64> {
    let length = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    value[..length].parse().ok().filter(|seconds: &f64| seconds.is_finite())
}

/// The digits in front.
fn whole_number(value: &str) -> Option<u64> {
    let length = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..length].parse().ok()
}

fn range(value: &str) -> Result<Range, SourceError> {
    let (length, offset) = match value.trim_matches('"').split_once('@') {
        Some((length, offset)) => (length, Some(offset)),
        None => (value.trim_matches('"'), None),
    };
    let number = |text: &str| text.trim().parse().map_err(|_| SourceError::Unreadable);
    Ok(Range { length: number(length)?, offset: offset.map(number).transpose()? })
}

fn key(value: &str) -> Result<Key, SourceError> {
    let attributes = Attributes::parse(value);
    let method = match attributes.get("METHOD").ok_or(SourceError::Unreadable)? {
        method if method.eq_ignore_ascii_case("NONE") => Method::None,
        method if method.eq_ignore_ascii_case("AES-128") => Method::Aes128,
        "" => return Err(SourceError::Unreadable),
        _ => Method::Other,
    };
    let format = attributes.text("KEYFORMAT").unwrap_or_else(|| "identity".to_owned()).to_ascii_lowercase();
    Ok(Key { method, format, uri: attributes.text("URI"), iv: attributes.text("IV") })
}

fn map(value: &str) -> Result<Change, SourceError> {
    let attributes = Attributes::parse(value);
    let uri = attributes.text("URI").ok_or(SourceError::Unreadable)?;
    Ok(Change::Map { uri, range: attributes.get("BYTERANGE").map(range).transpose()? })
}

fn variant(value: &str) -> Variant {
    let attributes = Attributes::parse(value);
    let bandwidth = |name| attributes.get(name).and_then(whole_number);
    Variant {
        uri: String::new(),
        bandwidth: bandwidth("AVERAGE-BANDWIDTH").or_else(|| bandwidth("BANDWIDTH")).unwrap_or(u64::MAX),
        codecs: attributes.text("CODECS"),
        has_resolution: attributes.get("RESOLUTION").is_some(),
        audio: attributes.text("AUDIO"),
    }
}

/// `None` for pictures, subtitles and captions.
fn rendition(value: &str) -> Option<Rendition> {
    let attributes = Attributes::parse(value);
    attributes.get("TYPE").filter(|kind| kind.eq_ignore_ascii_case("AUDIO"))?;
    Some(Rendition {
        uri: attributes.text("URI"),
        is_default: attributes.is_yes("DEFAULT"),
        is_autoselect: attributes.is_yes("AUTOSELECT"),
    })
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;
