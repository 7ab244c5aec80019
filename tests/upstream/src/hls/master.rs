//! Master playlists: which streams there are of a recording.

use std::fmt::Write as _;

/// A stream to choose (`EXT-X-STREAM-INF`).
#[must_use]
#[derive(Debug, Clone)]
pub struct Variant {
    uri: String,
    attributes: String,
}

impl Variant {
    /// Where its playlist is, and how many bits a second it needs.
    pub fn new(uri: &str, bandwidth: u64) -> Self {
        Self { uri: uri.to_owned(), attributes: format!("BANDWIDTH={bandwidth}") }
    }

    /// Such as `mp4a.40.2`, or `avc1.64001f,mp4a.40.2`.
    pub fn codecs(self, codecs: &str) -> Self {
        self.attribute(&format!("CODECS=\"{codecs}\""))
    }

    /// Width and height in pixels.
    pub fn resolution(self, width: u32, height: u32) -> Self {
        self.attribute(&format!("RESOLUTION={width}x{height}"))
    }

    /// The group of renditions that its sound is taken from.
    pub fn audio(self, group: &str) -> Self {
        self.attribute(&format!("AUDIO=\"{group}\""))
    }

    fn attribute(mut self, attribute: &str) -> Self {
        self.attributes.push(',');
        self.attributes += attribute;
        self
    }
}

/// Sound by itself (`EXT-X-MEDIA` of type `AUDIO`).
#[must_use]
#[derive(Debug, Clone)]
pub struct Rendition {
    group: String,
    name: String,
    uri: Option<String>,
    default: bool,
}

impl Rendition {
    /// Where its playlist is, and the group and the name that it goes by.
    pub fn new(group: &str, name: &str, uri: &str) -> Self {
        Self { group: group.to_owned(), name: name.to_owned(), uri: Some(uri.to_owned()), default: false }
    }

    /// Without a playlist: the sound is in the variants themselves.
    pub fn inside(self) -> Self {
        Self { uri: None, ..self }
    }

    /// What is played unless somebody chooses.
    pub fn default(self) -> Self {
        Self { default: true, ..self }
    }
}

/// A master playlist. See [`Reply::playlist`](crate::Reply::playlist).
#[must_use]
pub fn master(variants: &[Variant], renditions: &[Rendition]) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    let full = "a string takes what it is given";
    for Rendition { group, name, uri, default } in renditions {
        write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\"").expect(full);
        if *default {
            text += ",DEFAULT=YES,AUTOSELECT=YES";
        }
        if let Some(uri) = uri {
            write!(text, ",URI=\"{uri}\"").expect(full);
        }
        text.push('\n');
    }
    for Variant { uri, attributes } in variants {
        writeln!(text, "#EXT-X-STREAM-INF:{attributes}\n{uri}").expect(full);
    }
    text
}
