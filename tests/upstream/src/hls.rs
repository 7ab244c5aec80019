//! Streams that the real ffmpeg generates, and their playlists: correct, changed and hostile.

mod encryption;
pub mod hostile;
mod key;
mod master;
mod options;
mod packed;
mod playlist;
mod segments;

use std::path::Path;

use bytes::Bytes;

use encryption::Padding;
pub use master::{Rendition, Variant, master};
pub use options::{Encryption, HlsOptions, Kind};
pub use playlist::MediaPlaylist;

/// A generated stream: its files and their playlist.
#[derive(Debug, Clone)]
pub struct Hls {
    files: Vec<(String, Bytes)>,
    playlist: MediaPlaylist,
    playlist_name: String,
}

impl Hls {
    /// Generates a stream. ffmpeg writes to `directory`. Blocks for a fraction of a second.
    ///
    /// # Panics
    /// If ffmpeg is missing or fails, and for packed audio with a picture.
    #[must_use]
    pub fn make(directory: &Path, options: &HlsOptions) -> Self {
        let mut stream = segments::make(directory, options);
        if options.kind == Kind::PackedAac {
            packed::add_timestamps(&mut stream);
        }
        match options.encryption {
            Encryption::None => {}
            Encryption::Aes128 { key, rotate } => {
                encryption::encrypt(&mut stream, key, rotate, Padding::Pkcs7);
            }
            Encryption::ZeroPadded { key } => {
                encryption::encrypt(&mut stream, key, false, Padding::Zeros);
            }
        }
        let (files, playlist) = stream.pack(options.kind);
        Self { files, playlist, playlist_name: "index.m3u8".to_owned() }
    }

    /// The same stream with this playlist name, such as Panopto's `index.panobf2`.
    #[must_use]
    pub fn with_playlist_name(self, playlist_name: &str) -> Self {
        Self { playlist_name: playlist_name.to_owned(), ..self }
    }

    /// Name and bytes of every file but the playlist. The playlist uses these names.
    #[must_use]
    pub fn files(&self) -> &[(String, Bytes)] {
        &self.files
    }

    /// The playlist. Changed copies of it are other playlists over the same files.
    pub fn playlist(&self) -> &MediaPlaylist {
        &self.playlist
    }

    /// `index.m3u8`, or the name from [`Hls::with_playlist_name`].
    #[must_use]
    pub fn playlist_name(&self) -> &str {
        &self.playlist_name
    }

    /// The segments' file names in order. With byte ranges all are the same.
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

/// The `Content-Type` of a stream's file.
#[must_use]
pub fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("ts") => "video/mp2t",
        Some("m4s" | "mp4") => "video/mp4",
        Some("aac") => "audio/aac",
        _ => "application/octet-stream",
    }
}
