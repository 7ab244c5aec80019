//! Which stream to generate.

use std::path::PathBuf;

/// Options of [`Hls::make`](super::Hls::make).
#[derive(Debug, Clone)]
pub struct HlsOptions {
    /// Length in seconds.
    pub seconds: u32,
    /// Length of a segment in seconds, rounded up to a whole frame.
    pub segment_seconds: u32,
    /// How the stream is packed.
    pub kind: Kind,
    /// Whether its segments are encrypted.
    pub encryption: Encryption,
    /// Adds a picture. Packed audio has none.
    pub video: bool,
    /// Source of the sound. `None`: each second has its own [tone](crate::media::tone).
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
    /// MPEG transport stream, one file per segment.
    Ts,
    /// Fragmented MPEG-4: one file per segment and one for their `EXT-X-MAP`.
    Fmp4,
    /// MPEG transport stream in a single file with `EXT-X-BYTERANGE`.
    ByteRanges,
    /// ADTS with its time in an ID3 tag (RFC 8216, 3.4), one file per segment.
    PackedAac,
}

/// Whether segments are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not encrypted.
    None,
    /// AES-128 in CBC mode, each segment by itself. The `EXT-X-MAP` file is not encrypted.
    Aes128 {
        /// The key, or the seed of all keys.
        key: [u8; 16],
        /// Each segment has its own key and `IV`. Otherwise all share one key, and the segment's number is
        /// the vector.
        rotate: bool,
    },
    /// As `Aes128` with one key, but the last block is filled with zeros, or with nothing where it is full. Some packagers do so.
    ZeroPadded {
        /// The key.
        key: [u8; 16],
    },
}
