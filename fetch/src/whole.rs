//! Whether a media file is whole, by its own structure, where a server's length is wrong.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// Most boxes that are read.
const MAX_BOXES: usize = 100_000;

/// What the structure of a file says about its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ends where the file ends.
    Whole,
    /// It ends behind the end of the file.
    Cut,
    /// It says nothing.
    Unknown,
}

/// Reads the structure of a file: MPEG-4, Matroska or RIFF. Formats that are a sequence of packets or frames end anywhere. Blocks.
///
/// # Errors
/// The disk's.
pub(super) fn end(path: &Path) -> io::Result<End> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(64).read_to_end(&mut head)?;
    Ok(match head.as_slice() {
        [] => End::Cut,
        [0, _, _, _, b'f', b't', b'y', b'p', ..] => of_boxes(&mut file, length)?,
        [b'R', b'I', b'F', b'F', a, b, c, d, ..] => {
            // A recorder that cannot go back writes no size.
            match u32::from_le_bytes([*a, *b, *c, *d]) {
                0 | u32::MAX => End::Unknown,
                size => compare(u64::from(size) + 8, length),
            }
        }
        [0x1a, 0x45, 0xdf, 0xa3, rest @ ..] => of_matroska(rest, length),
        _ => End::Unknown,
    })
}

/// Bytes behind the end, such as padding, are no cut.
fn compare(end: u64, length: u64) -> End {
    if end > length { End::Cut } else { End::Whole }
}

/// A file of fragments may end behind each of them, unless an index of them comes last. Others have one index and their data.
fn of_boxes(file: &mut File, length: u64) -> io::Result<End> {
    let (mut at, mut names) = (0, Vec::new());
    while at < length && names.len() < MAX_BOXES {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        match file.read_exact(&mut head[..8]).and_then(|()| match head[..4] {
            [0, 0, 0, 1] => file.read_exact(&mut head[8..]),
            _ => Ok(()),
        }) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(End::Cut),
            read => read?,
        }
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            1 => u64::from_be_bytes(head[8..].try_into().expect("eight bytes")),
            size => u64::from(size),
        };
        // 0 means "to the end of the file". Without a name it is no box.
        if size < 8 || !head[4..8].iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Ok(End::Unknown);
        }
        names.push([head[4], head[5], head[6], head[7]]);
        at = at.saturating_add(size);
    }
    let has = |name: &[u8; 4]| names.contains(name);
    Ok(match at.cmp(&length) {
        std::cmp::Ordering::Greater => End::Cut,
        _ if has(b"moof") && names.last() != Some(b"mfra") => End::Unknown,
        _ if has(b"moov") && has(b"mdat") => End::Whole,
        // The box that is missing comes behind.
        _ => End::Cut,
    })
}

/// The length of the segment, which comes behind the header (RFC 8794, 4 and 5). A live recorder leaves it open.
fn of_matroska(head: &[u8], length: u64) -> End {
    let segment = || {
        let (header, size) = variable(head)?;
        let start = size + usize::try_from(header?).ok()?;
        let rest = head.get(start..)?.strip_prefix(&[0x18, 0x53, 0x80, 0x67])?;
        let (content, size) = variable(rest)?;
        Some(4 + u64::try_from(start + 4 + size).ok()? + content?)
    };
    segment().map_or(End::Unknown, |end| compare(end, length))
}

/// A number and the bytes that it takes. The number is `None` where it is open.
fn variable(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let size = bytes.first()?.leading_zeros() as usize + 1;
    let digits = bytes.get(..size).filter(|_| size <= 8)?;
    let marked = digits.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let mask = (1_u64 << (7 * size)) - 1;
    Some(((marked & mask != mask).then_some(marked & mask), size))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Each form as ffmpeg writes it, whole and cut.
    #[test]
    fn the_structure_shows_a_cut() {
        let directory = tempfile::tempdir().expect("a directory");
        let fragments = ["-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"];
        let table: [(&str, &[&str], End, End); 7] = [
            ("a.mp4", &["-c:a", "aac", "-movflags", "+faststart"], End::Whole, End::Cut),
            ("b.m4a", &["-c:a", "aac"], End::Whole, End::Cut),
            ("c.mp4", &fragments, End::Whole, End::Cut),
            ("d.wav", &[], End::Whole, End::Cut),
            ("e.mka", &["-c:a", "aac"], End::Whole, End::Cut),
            ("f.mp3", &["-c:a", "libmp3lame"], End::Unknown, End::Unknown),
            ("g.ts", &["-c:a", "aac"], End::Unknown, End::Unknown),
        ];
        for (name, codec, whole, cut) in table {
            let path = directory.path().join(name);
            let done = Command::new("ffmpeg")
                .args(["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "sine=duration=3"])
                .args(codec)
                .arg(&path)
                .status();
            assert!(done.expect("ffmpeg runs").success(), "{name}");
            let bytes = std::fs::read(&path).expect("read");
            let end_of = |bytes: &[u8]| {
                std::fs::write(&path, bytes).expect("written");
                end(&path).expect("read")
            };
            assert_eq!(end_of(&bytes), whole, "{name}");
            for length in [bytes.len() - 1, bytes.len() - 200, bytes.len() / 2, 100] {
                assert_eq!(end_of(&bytes[..length]), cut, "{name}: {length} of {} bytes", bytes.len());
            }
        }
    }

    /// A cut between two fragments leaves a file that plays.
    #[test]
    fn fragments_without_their_index_say_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.mp4");
        let boxed = |name: &[u8; 4]| [&16_u32.to_be_bytes(), &name[..], &[0; 8]].concat();
        let end_of = |names: &[&[u8; 4]]| {
            std::fs::write(&path, names.iter().flat_map(|name| boxed(name)).collect::<Vec<_>>())
                .expect("written");
            end(&path).expect("read")
        };
        assert_eq!(end_of(&[b"ftyp", b"moov", b"moof", b"mdat"]), End::Unknown);
        assert_eq!(end_of(&[b"ftyp", b"moov", b"moof", b"mdat", b"mfra"]), End::Whole);
        assert_eq!(end_of(&[b"ftyp", b"moov", b"mdat"]), End::Whole);
        assert_eq!(end_of(&[b"ftyp", b"mdat"]), End::Cut);
    }
}
