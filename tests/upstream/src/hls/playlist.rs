//! Media playlists, correct and changed.

use super::key::{Key, hex};
use crate::reply::Reply;

/// A media playlist. Changed copies of a correct one model a server that lies, truncates or never ends.
#[must_use]
#[derive(Debug, Clone)]
pub struct MediaPlaylist {
    entries: Vec<Entry>,
    has_end: bool,
    has_offsets: bool,
}

/// A segment in a playlist.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) uri: String,
    /// `EXTINF`.
    pub(super) seconds: f64,
    /// Length and offset in bytes.
    pub(super) range: Option<(usize, usize)>,
    pub(super) map: Option<String>,
    pub(super) key: Option<Key>,
    pub(super) discontinuity: bool,
    pub(super) gap: bool,
}

impl Entry {
    /// A whole, unencrypted file.
    pub(super) fn new(uri: String, seconds: f64) -> Self {
        Self { uri, seconds, range: None, map: None, key: None, discontinuity: false, gap: false }
    }
}

impl MediaPlaylist {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries, has_end: true, has_offsets: true }
    }

    /// The segments' URIs in order.
    #[must_use]
    pub fn uris(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.uri.as_str()).collect()
    }

    /// The sum of `EXTINF`, in seconds. Gaps count.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.entries.iter().map(|entry| entry.seconds).sum()
    }

    /// Keeps the first `count` segments.
    pub fn truncate(mut self, count: usize) -> Self {
        self.entries.truncate(count);
        self
    }

    /// Removes `EXT-X-ENDLIST`: more segments may follow.
    pub fn without_end(self) -> Self {
        Self { has_end: false, ..self }
    }

    /// Replaces the URI of the segment with this index.
    pub fn with_uri(mut self, index: usize, uri: &str) -> Self {
        uri.clone_into(&mut self.entries[index].uri);
        self
    }

    /// Sets the URI of `EXT-X-MAP`, even if there was no such tag.
    pub fn with_map(mut self, uri: &str) -> Self {
        for entry in &mut self.entries {
            entry.map = Some(uri.to_owned());
        }
        self
    }

    /// Sets the key's URI of every segment. Declares unencrypted segments as encrypted.
    pub fn with_key(mut self, uri: &str) -> Self {
        for (number, entry) in (0_u128..).zip(&mut self.entries) {
            let iv = entry.key.as_ref().map_or(number.to_be_bytes(), |key| key.iv);
            entry.key = Some(Key { uri: uri.to_owned(), iv });
        }
        self
    }

    /// Adds `EXT-X-GAP` to the segment with this index: the server declares it missing.
    pub fn with_gap(mut self, index: usize) -> Self {
        self.entries[index].gap = true;
        self
    }

    /// Omits the offset of each `EXT-X-BYTERANGE` that starts at the end of the previous range.
    pub fn without_offsets(self) -> Self {
        Self { has_offsets: false, ..self }
    }

    /// Puts a folder (`b/`) or an address before every URI.
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        for entry in &mut self.entries {
            let uris = [Some(&mut entry.uri), entry.map.as_mut(), entry.key.as_mut().map(|key| &mut key.uri)];
            for uri in uris.into_iter().flatten() {
                uri.insert_str(0, prefix);
            }
        }
        self
    }

    /// Appends a separately encoded playlist after an `EXT-X-DISCONTINUITY`.
    pub fn concat(mut self, mut other: Self) -> Self {
        if let Some(first) = other.entries.first_mut() {
            first.discontinuity = true;
        }
        self.entries.append(&mut other.entries);
        self
    }

    /// Repeats the segments up to `count` in all, each with its own query.
    pub fn repeat_segments(self, count: usize) -> Self {
        let copy = |(number, entry): (usize, &Entry)| Entry {
            uri: format!("{}?again={number}", entry.uri),
            ..entry.clone()
        };
        let entries = self.entries.iter().cycle().take(count).enumerate().map(copy).collect();
        Self { entries, ..self }
    }

    /// The replies of a live stream: the playlist grows with each request and ends with the last of
    /// `requests`. Pass them to [`Upstream::on`](crate::Upstream::on).
    #[must_use]
    pub fn live_replies(&self, requests: usize) -> Vec<Reply> {
        let snapshot = |request: usize| {
            let partial = self.clone().truncate((self.entries.len() * request).div_ceil(requests));
            if request < requests { partial.without_end() } else { partial }
        };
        (1..=requests).map(|request| snapshot(request).reply()).collect()
    }

    /// A reply with this playlist.
    pub fn reply(&self) -> Reply {
        Reply::playlist(self.text())
    }

    /// The playlist's text.
    #[must_use]
    pub fn text(&self) -> String {
        let longest = self.entries.iter().map(|entry| entry.seconds).fold(1.0, f64::max).ceil();
        let mut writer = Writer::default();
        writer.push(format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{longest}\n#EXT-X-MEDIA-SEQUENCE:0"
        ));
        if self.has_end {
            writer.push("#EXT-X-PLAYLIST-TYPE:VOD");
        }
        for (number, entry) in self.entries.iter().enumerate() {
            if entry.discontinuity {
                writer.push("#EXT-X-DISCONTINUITY");
            }
            writer.write_map(entry.map.as_deref());
            writer.write_key(entry.key.as_ref(), number);
            writer.push(format!("#EXTINF:{:.6},", entry.seconds));
            if let Some(range) = entry.range {
                writer.write_range(range, self.has_offsets);
            }
            if entry.gap {
                writer.push("#EXT-X-GAP");
            }
            writer.push(&entry.uri);
        }
        if self.has_end {
            writer.push("#EXT-X-ENDLIST");
        }
        writer.text
    }
}

/// A playlist in progress, and the tags that apply to the next segment.
struct Writer {
    text: String,
    map: Option<String>,
    key: String,
    /// End of the last range.
    end: Option<usize>,
}

const NO_KEY: &str = "#EXT-X-KEY:METHOD=NONE";

impl Default for Writer {
    fn default() -> Self {
        Self { text: String::new(), map: None, key: NO_KEY.to_owned(), end: None }
    }
}

impl Writer {
    fn push(&mut self, line: impl AsRef<str>) {
        self.text += line.as_ref();
        self.text += "\n";
    }

    /// A key tag before `EXT-X-MAP` would apply to the map's file, and ours is never encrypted.
    fn write_map(&mut self, uri: Option<&str>) {
        if let Some(uri) = uri
            && self.map.as_deref() != Some(uri)
        {
            self.write_key(None, 0);
            self.push(format!("#EXT-X-MAP:URI=\"{uri}\""));
            self.map = Some(uri.to_owned());
        }
    }

    /// Omits a vector that equals the segment's number, which is the default.
    fn write_key(&mut self, key: Option<&Key>, number: usize) {
        let line = key.map_or_else(
            || NO_KEY.to_owned(),
            |Key { uri, iv }| {
                let is_default = u128::from_be_bytes(*iv) == number as u128;
                let iv = if is_default { String::new() } else { format!(",IV=0x{}", hex(*iv)) };
                format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"{iv}")
            },
        );
        if self.key != line {
            self.push(&line);
            self.key = line;
        }
    }

    fn write_range(&mut self, (length, offset): (usize, usize), with_offset: bool) {
        if with_offset || self.end != Some(offset) {
            self.push(format!("#EXT-X-BYTERANGE:{length}@{offset}"));
        } else {
            self.push(format!("#EXT-X-BYTERANGE:{length}"));
        }
        self.end = Some(offset + length);
    }
}
