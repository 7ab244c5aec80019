//! Master playlists, which list the streams of a recording.

use std::fmt::Write as _;

/// A variant stream (`EXT-X-STREAM-INF`).
#[must_use]
#[derive(Debug, Clone)]
pub struct Variant {
    uri: String,
    attributes: String,
}

impl Variant {
    /// The URI of its playlist, and its bandwidth in bits per second.
    pub fn new(uri: &str, bandwidth: u64) -> Self {
        Self { uri: uri.to_owned(), attributes: format!("BANDWIDTH={bandwidth}") }
    }

    /// `CODECS`, such as `mp4a.40.2` or `avc1.64001f,mp4a.40.2`.
    pub fn codecs(self, codecs: &str) -> Self {
        self.attribute(&format!("CODECS=\"{codecs}\""))
    }

    /// Width and height in pixels.
    pub fn resolution(self, width: u32, height: u32) -> Self {
        self.attribute(&format!("RESOLUTION={width}x{height}"))
    }

    /// The group of renditions with its sound.
    pub fn audio_group(self, group: &str) -> Self {
        self.attribute(&format!("AUDIO=\"{group}\""))
    }

    fn attribute(mut self, attribute: &str) -> Self {
        self.attributes.push(',');
        self.attributes += attribute;
        self
    }
}

/// A separate sound stream (`EXT-X-MEDIA` of type `AUDIO`).
#[must_use]
#[derive(Debug, Clone)]
pub struct Rendition {
    group: String,
    name: String,
    uri: Option<String>,
    is_default: bool,
}

impl Rendition {
    /// Its group, its name and the URI of its playlist.
    pub fn new(group: &str, name: &str, uri: &str) -> Self {
        Self { group: group.to_owned(), name: name.to_owned(), uri: Some(uri.to_owned()), is_default: false }
    }

    /// Removes the playlist: the sound is muxed into the variants.
    pub fn muxed(self) -> Self {
        Self { uri: None, ..self }
    }

    /// Marks it as the default choice.
    pub fn as_default(self) -> Self {
        Self { is_default: true, ..self }
    }
}

/// The text of a master playlist. Send it with [`Reply::playlist`](crate::Reply::playlist).
#[must_use]
pub fn master(variants: &[Variant], renditions: &[Rendition]) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    let infallible = "writing to a string cannot fail";
    for Rendition { group, name, uri, is_default } in renditions {
        write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\"").expect(infallible);
        if *is_default {
            text += ",DEFAULT=YES,AUTOSELECT=YES";
        }
        if let Some(uri) = uri {
            write!(text, ",URI=\"{uri}\"").expect(infallible);
        }
        text.push('\n');
    }
    for Variant { uri, attributes } in variants {
        writeln!(text, "#EXT-X-STREAM-INF:{attributes}\n{uri}").expect(infallible);
    }
    text
}
