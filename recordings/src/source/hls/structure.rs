//! Whether a segment is whole, by its own structure. A server's length may be wrong or missing.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{boxes, packed};

/// Bytes of a packet of a transport stream (ISO 13818-1).
pub(super) const PACKET: u64 = 188;

/// Less than this may follow the last packet: what a wrong padding leaves of one cipher block.
const BLOCK: u64 = 16;

/// The structure of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Structure {
    /// Packets of [`PACKET`] bytes.
    TransportStream,
    /// Boxes.
    Mpeg4,
    /// Frames, perhaps behind a tag.
    Packed,
    /// None that is known here.
    Other,
}

impl Structure {
    /// The structure of media with these first bytes.
    pub(super) fn of(head: &[u8]) -> Self {
        let is_name = |name: &[u8]| name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        match head {
            [0x47, ..] => Self::TransportStream,
            [0xff, ..] | [b'I', b'D', b'3', ..] => Self::Packed,
            [_, _, _, _, name @ ..] if name.len() >= 4 && is_name(&name[..4]) && head[0] == 0 => Self::Mpeg4,
            _ => Self::Other,
        }
    }
}

/// What is known about a segment from its transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    /// The server announced the length, or marked the end.
    pub(super) has_end: bool,
    /// It is a range of a file, which may begin and end anywhere.
    pub(super) is_range: bool,
    /// It was encrypted, and its padding is none of AES-128's.
    pub(super) has_wrong_padding: bool,
}

/// False where a segment breaks off within a packet, a box or a frame. Blocks.
pub(super) fn is_whole(path: &Path, head: &[u8], transfer: Transfer) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if transfer.is_range && transfer.has_end && !transfer.has_wrong_padding {
        return Ok(true);
    }
    match Structure::of(head) {
        Structure::TransportStream => {
            let rest = file.metadata()?.len() % PACKET;
            Ok(rest == 0 || transfer.has_wrong_padding && rest < BLOCK)
        }
        Structure::Mpeg4 => match boxes::top_level(&mut file) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            boxes => boxes.map(|_| true),
        },
        // A wrong key leaves random bytes, and one in 5,000 random heads begins like a frame.
        Structure::Packed if transfer.has_wrong_padding => packed::is_all_frames(&mut file),
        Structure::Packed => Ok(true),
        Structure::Other => Ok(!transfer.has_wrong_padding),
    }
}
