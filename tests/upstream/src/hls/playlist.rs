//! Media playlists, true ones and others.

use super::encryption::hex;
use crate::Reply;

/// A media playlist. Changed copies of a true one are how a server lies, breaks off, or goes on for ever.
#[must_use]
#[derive(Debug, Clone)]
pub struct MediaPlaylist {
    entries: Vec<Entry>,
    ended: bool,
    offsets: bool,
}

/// A segment in a playlist.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) uri: String,
    /// As `EXTINF` says.
    pub(super) seconds: f64,
    /// Length and offset in bytes.
    pub(super) range: Option<(usize, usize)>,
    pub(super) map: Option<String>,
    pub(super) key: Option<Key>,
    pub(super) discontinuity: bool,
    pub(super) gap: bool,
}

/// What decrypts a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) uri: String,
    pub(super) iv: [u8; 16],
}

impl Entry {
    /// A file of its own, in the clear.
    pub(super) fn new(uri: String, seconds: f64) -> Self {
        Self { uri, seconds, range: None, map: None, key: None, discontinuity: false, gap: false }
    }
}

impl MediaPlaylist {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries, ended: true, offsets: true }
    }

    /// The URIs of the segments in their order.
    #[must_use]
    pub fn uris(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.uri.as_str()).collect()
    }

    /// The sum of `EXTINF`, in seconds. Gaps count.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.entries.iter().map(|entry| entry.seconds).sum()
    }

    /// The first `count` segments, as if there were no more.
    pub fn first(mut self, count: usize) -> Self {
        self.entries.truncate(count);
        self
    }

    /// Without `EXT-X-ENDLIST`: there may be more later.
    pub fn without_end(self) -> Self {
        Self { ended: false, ..self }
    }

    /// Another URI for the segment with this index.
    pub fn with_uri(mut self, index: usize, uri: &str) -> Self {
        uri.clone_into(&mut self.entries[index].uri);
        self
    }

    /// Another URI for what `EXT-X-MAP` names, also where there was no such tag.
    pub fn with_map(mut self, uri: &str) -> Self {
        for entry in &mut self.entries {
            entry.map = Some(uri.to_owned());
        }
        self
    }

    /// Another URI for the key of every segment. Where there was none, they are said to be encrypted now.
    pub fn with_key(mut self, uri: &str) -> Self {
        for (number, entry) in (0_u128..).zip(&mut self.entries) {
            let iv = entry.key.as_ref().map_or(number.to_be_bytes(), |key| key.iv);
            entry.key = Some(Key { uri: uri.to_owned(), iv });
        }
        self
    }

    /// `EXT-X-GAP` for the segment with this index: the server says that it has none.
    pub fn with_gap(mut self, index: usize) -> Self {
        self.entries[index].gap = true;
        self
    }

    /// `EXT-X-BYTERANGE` without offsets where a range begins at the end of the one before it.
    pub fn without_offsets(self) -> Self {
        Self { offsets: false, ..self }
    }

    /// With this before every URI: a folder (`b/`) or an address.
    pub fn under(mut self, prefix: &str) -> Self {
        for entry in &mut self.entries {
            let uris = [Some(&mut entry.uri), entry.map.as_mut(), entry.key.as_mut().map(|key| &mut key.uri)];
            for uri in uris.into_iter().flatten() {
                uri.insert_str(0, prefix);
            }
        }
        self
    }

    /// This one and then another, which was encoded by itself: `EXT-X-DISCONTINUITY` stands between them.
    pub fn then(mut self, mut other: Self) -> Self {
        if let Some(first) = other.entries.first_mut() {
            first.discontinuity = true;
        }
        self.entries.append(&mut other.entries);
        self
    }

    /// The same segments again and again, `count` in all, each with a query of its own.
    pub fn repeated(self, count: usize) -> Self {
        let again = |(number, entry): (usize, &Entry)| Entry {
            uri: format!("{}?again={number}", entry.uri),
            ..entry.clone()
        };
        let entries = self.entries.iter().cycle().take(count).enumerate().map(again).collect();
        Self { entries, ..self }
    }

    /// The answers of a live stream: longer with each request, and ended with the last of so many. Script a path with them.
    #[must_use]
    pub fn live(&self, requests: usize) -> Vec<Reply> {
        let shown = |request: usize| {
            let known = self.clone().first((self.entries.len() * request).div_ceil(requests));
            if request < requests { known.without_end() } else { known }
        };
        (1..=requests).map(|request| shown(request).reply()).collect()
    }

    /// An answer with this playlist.
    pub fn reply(&self) -> Reply {
        Reply::playlist(self.text())
    }

    /// The playlist as a server sends it.
    #[must_use]
    pub fn text(&self) -> String {
        let longest = self.entries.iter().map(|entry| entry.seconds).fold(1.0, f64::max).ceil();
        let mut lines = Lines::default();
        lines.push(format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{longest}\n#EXT-X-MEDIA-SEQUENCE:0"
        ));
        if self.ended {
            lines.push("#EXT-X-PLAYLIST-TYPE:VOD");
        }
        for (number, entry) in self.entries.iter().enumerate() {
            if entry.discontinuity {
                lines.push("#EXT-X-DISCONTINUITY");
            }
            lines.map(entry.map.as_deref());
            lines.key(entry.key.as_ref(), number);
            lines.push(format!("#EXTINF:{:.6},", entry.seconds));
            if let Some(range) = entry.range {
                lines.range(range, self.offsets);
            }
            if entry.gap {
                lines.push("#EXT-X-GAP");
            }
            lines.push(&entry.uri);
        }
        if self.ended {
            lines.push("#EXT-X-ENDLIST");
        }
        lines.text
    }
}

/// A playlist while it is written, and what holds for the next segment so far.
struct Lines {
    text: String,
    map: Option<String>,
    key: String,
    /// Where the last range ended.
    end: Option<usize>,
}

const NO_KEY: &str = "#EXT-X-KEY:METHOD=NONE";

impl Default for Lines {
    fn default() -> Self {
        Self { text: String::new(), map: None, key: NO_KEY.to_owned(), end: None }
    }
}

impl Lines {
    fn push(&mut self, line: impl AsRef<str>) {
        self.text += line.as_ref();
        self.text += "\n";
    }

    /// What `EXT-X-MAP` names is encrypted with the key that stands before it, and ours never is.
    fn map(&mut self, uri: Option<&str>) {
        if let Some(uri) = uri
            && self.map.as_deref() != Some(uri)
        {
            self.key(None, 0);
            self.push(format!("#EXT-X-MAP:URI=\"{uri}\""));
            self.map = Some(uri.to_owned());
        }
    }

    /// A vector that is the number of the segment goes without saying.
    fn key(&mut self, key: Option<&Key>, number: usize) {
        let line = key.map_or_else(
            || NO_KEY.to_owned(),
            |Key { uri, iv }| {
                let implied = u128::from_be_bytes(*iv) == number as u128;
                let iv = if implied { String::new() } else { format!(",IV=0x{}", hex(*iv)) };
                format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"{iv}")
            },
        );
        if self.key != line {
            self.push(&line);
            self.key = line;
        }
    }

    fn range(&mut self, (length, offset): (usize, usize), with_offset: bool) {
        if with_offset || self.end != Some(offset) {
            self.push(format!("#EXT-X-BYTERANGE:{length}@{offset}"));
        } else {
            self.push(format!("#EXT-X-BYTERANGE:{length}"));
        }
        self.end = Some(offset + length);
    }
}
