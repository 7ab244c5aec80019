//! Streams made by the real ffmpeg, and playlists of every kind over them, true and hostile.

mod encryption;
pub mod hostile;
mod master;
mod packed;
mod playlist;
mod segments;

use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use master::{Rendition, Variant, master};
pub use playlist::MediaPlaylist;

/// What kind of stream to make.
#[derive(Debug, Clone)]
pub struct HlsOptions {
    /// Its length in seconds.
    pub seconds: u32,
    /// The length of a segment in seconds, to the next whole frame.
    pub segment_seconds: u32,
    /// How it is packed.
    pub kind: Kind,
    /// Whether its segments are encrypted.
    pub encryption: Encryption,
    /// A picture beside the sound. Packed audio has none.
    pub video: bool,
    /// Where the sound comes from. Without it, each second has a [tone](crate::media::tone) of its own.
    pub source: Option<PathBuf>,
}

impl Default for HlsOptions {
    /// 12 seconds of sound in three segments of MPEG-TS.
    fn default() -> Self {
        Self {
            seconds: 12,
            segment_seconds: 4,
            kind: Kind::Ts,
            encryption: Encryption::None,
            video: false,
            source: None,
        }
    }
}

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// MPEG transport stream, a file for each segment.
    Ts,
    /// Fragmented MPEG-4, a file for each segment and one for their `EXT-X-MAP`.
    Fmp4,
    /// MPEG transport stream, all in one file with `EXT-X-BYTERANGE`.
    ByteRanges,
    /// ADTS with its time in an ID3 tag (RFC 8216, 3.4), a file for each segment.
    PackedAac,
}

/// Whether segments are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// They are not.
    None,
    /// AES-128 in CBC mode, each segment by itself. What `EXT-X-MAP` names is in the clear.
    Aes128 {
        /// The key, or what other keys are made from.
        key: [u8; 16],
        /// A key and an `IV` of its own for each segment. Otherwise one key for all, and the number of the segment as
        /// its vector.
        rotate: bool,
    },
}

/// A finished stream: its files and the playlist over them.
#[derive(Debug, Clone)]
pub struct Hls {
    files: Vec<(String, Bytes)>,
    playlist: MediaPlaylist,
    playlist_name: String,
}

impl Hls {
    /// Makes a stream, with `directory` for what ffmpeg writes. It takes a fraction of a second, and blocks.
    ///
    /// # Panics
    /// Where ffmpeg is missing or fails, and for packed audio with a picture.
    #[must_use]
    pub fn make(directory: &Path, options: &HlsOptions) -> Self {
        let mut stream = segments::make(directory, options);
        if options.kind == Kind::PackedAac {
            packed::stamp(&mut stream);
        }
        if let Encryption::Aes128 { key, rotate } = options.encryption {
            encryption::encrypt(directory, &mut stream, key, rotate);
        }
        let (files, playlist) = stream.pack(options.kind);
        Self { files, playlist, playlist_name: "index.m3u8".to_owned() }
    }

    /// The same stream with a playlist of this name, such as Panopto's `index.panobf2`.
    #[must_use]
    pub fn named(self, playlist_name: &str) -> Self {
        Self { playlist_name: playlist_name.to_owned(), ..self }
    }

    /// Every file but the playlist: its name, which the playlist uses, and its bytes.
    #[must_use]
    pub fn files(&self) -> &[(String, Bytes)] {
        &self.files
    }

    /// The playlist, whose changed copies are other playlists over the same files.
    pub fn playlist(&self) -> &MediaPlaylist {
        &self.playlist
    }

    /// `index.m3u8`, unless it was named otherwise.
    #[must_use]
    pub fn playlist_name(&self) -> &str {
        &self.playlist_name
    }

    /// The names of the segments in their order. In one file with ranges it is the same name each time.
    #[must_use]
    pub fn segments(&self) -> Vec<&str> {
        self.playlist.uris()
    }

    /// The exact duration: the sum of `EXTINF`, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.playlist.seconds()
    }
}

/// What a file of a stream is called by a server.
#[must_use]
pub fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("ts") => "video/mp2t",
        Some("m4s" | "mp4") => "video/mp4",
        Some("aac") => "audio/aac",
        _ => "application/octet-stream",
    }
}
