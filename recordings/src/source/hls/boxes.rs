//! Joins segments of MPEG-4 (ISO 14496-12), box by box.
//!
//! A segment may begin with `styp`, `sidx`, `emsg`, `prft` or `free`, may bring its own `ftyp` and `moov`, and its last box may
//! reach "to the end of the file". Joined byte by byte, an index would point into another segment, and such a last box would swallow
//! all that follows.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

/// Most boxes of one segment.
const MAX_BOXES: usize = 100_000;

/// Largest `moov` that is compared, in bytes.
const MAX_MOOV: u64 = 4 * 1024 * 1024;

/// Deepest container of a `moov`: its sample description has five above it.
const MAX_DEPTH: usize = 8;

/// Bytes that may follow the last box: what a wrong padding leaves of one cipher block.
const MAX_TAIL: u64 = 16;

/// A box of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopBox {
    name: [u8; 4],
    /// Offset of its header.
    start: u64,
    /// Bytes of its header.
    header: u64,
    /// Offset behind it.
    end: u64,
    /// True where its header says "to the end of the file".
    is_open: bool,
}

/// The boxes of a file, without what they contain.
///
/// # Errors
/// `InvalidData` where the last one reaches beyond the file; the disk's.
pub(super) fn top_level(file: &mut File) -> io::Result<Vec<TopBox>> {
    let length = file.metadata()?.len();
    let (mut boxes, mut start) = (Vec::new(), 0);
    while start < length {
        match read_box(file, start, length)? {
            Some(found) if boxes.len() < MAX_BOXES => boxes.push(found),
            None if length - start <= MAX_TAIL => break,
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        start = boxes.last().map_or(length, |last| last.end);
    }
    Ok(boxes)
}

/// The box at `start`. `None` where none fits there.
fn read_box(file: &mut File, start: u64, length: u64) -> io::Result<Option<TopBox>> {
    let mut head = [0; 16];
    if length - start < 8 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut head[..8])?;
    let name = [head[4], head[5], head[6], head[7]];
    let (size, header) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
        0 => (length - start, 8),
        1 if length - start >= 16 => {
            file.read_exact(&mut head[8..])?;
            (u64::from_be_bytes(head[8..].try_into().expect("eight bytes")), 16)
        }
        size => (u64::from(size), 8),
    };
    let fits =
        size >= header && size <= length - start && name.iter().all(|byte| (b' '..=b'~').contains(byte));
    let is_open = head[..4] == [0; 4];
    Ok(fits.then_some(TopBox { name, start, header, end: start + size, is_open }))
}

/// What a run of segments has so far.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// What its `moov` says about the coding.
    coding: Option<Coding>,
    /// True once it has more than a map.
    pub(super) has_samples: bool,
}

/// What a `moov` says about the coding, without what differs between segments of one encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Coding {
    /// Samples come in fragments behind it.
    Fragmented(Vec<u8>),
    /// The file is complete in itself.
    Whole,
}

/// Appends a segment. Returns false, without a change, where it begins another run: it has a `moov` that describes another coding,
/// or a whole file.
pub(super) fn append(run: &mut Run, segment: &mut File, target: &mut File) -> io::Result<bool> {
    let boxes = top_level(segment)?;
    let coding = coding(segment, &boxes)?;
    let has_coding = match (&run.coding, &coding) {
        (None, None) => false,
        (Some(Coding::Whole), _) | (Some(_), Some(Coding::Whole)) => return Ok(false),
        (Some(known), Some(new)) if known != new => return Ok(false),
        (known, _) => known.is_some(),
    };
    run.coding = coding.or(run.coding.take());
    // The one box of a whole file may name absolute offsets.
    let is_whole = run.coding == Some(Coding::Whole);
    for (number, found) in boxes.iter().enumerate() {
        let is_left_out = match &found.name {
            b"ftyp" | b"moov" => has_coding,
            b"moof" | b"mdat" => false,
            // Offsets in a `moof` count every byte up to its data.
            _ => {
                !leads_to_data(&boxes[number..])
                    || !boxes[..number].iter().any(|found| &found.name == b"moof")
            }
        };
        if is_whole || !is_left_out {
            copy(segment, found, target)?;
        }
        run.has_samples |= matches!(&found.name, b"moof" | b"mdat");
    }
    Ok(true)
}

/// True where an `mdat` comes before the next `moof`.
fn leads_to_data(boxes: &[TopBox]) -> bool {
    let mut names = boxes.iter().map(|found| &found.name);
    names.find(|name| matches!(*name, b"moof" | b"mdat")).is_some_and(|name| name == b"mdat")
}

/// Copies a box, with its true size.
fn copy(segment: &mut File, found: &TopBox, target: &mut File) -> io::Result<()> {
    let mut start = found.start;
    if found.is_open {
        start += found.header;
        let size = found.end - found.start;
        match u32::try_from(size) {
            Ok(size) => target.write_all(&size.to_be_bytes())?,
            Err(_) => return Err(ErrorKind::InvalidData.into()),
        }
        target.write_all(&found.name)?;
    }
    segment.seek(SeekFrom::Start(start))?;
    io::copy(&mut segment.take(found.end - start), target).map(drop)
}

fn coding(file: &mut File, boxes: &[TopBox]) -> io::Result<Option<Coding>> {
    let Some(moov) = boxes.iter().find(|found| &found.name == b"moov") else { return Ok(None) };
    let length = moov.end - moov.start - moov.header;
    if length > MAX_MOOV {
        return Ok(Some(Coding::Whole));
    }
    file.seek(SeekFrom::Start(moov.start + moov.header))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    let mut essence = Vec::new();
    describe(&bytes, 0, &mut essence);
    let has = |name: &[u8]| boxes.iter().any(|found| found.name == name);
    let is_whole = has(b"mdat") && !has(b"moof");
    Ok(Some(if is_whole { Coding::Whole } else { Coding::Fragmented(essence) }))
}

/// Collects the boxes that decide how samples are decoded. Times of creation, lengths and notes differ between segments.
fn describe(mut bytes: &[u8], depth: usize, essence: &mut Vec<u8>) {
    while let Some((head, _)) = bytes.split_at_checked(8) {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if size < 8 || size > bytes.len() {
            return;
        }
        let (found, rest) = bytes.split_at(size);
        let (name, body) = (&found[4..8], &found[8..]);
        match name {
            b"trak" | b"mdia" | b"minf" | b"stbl" | b"mvex" if depth < MAX_DEPTH => {
                essence.extend_from_slice(name);
                describe(body, depth + 1, essence);
            }
            // Version 1 has times of 64 bits.
            b"mvhd" | b"mdhd" => {
                let timescale = if body.first() == Some(&1) { 20..24 } else { 12..16 };
                essence.extend_from_slice(body.get(timescale).unwrap_or_default());
            }
            b"tkhd" => {
                let track = if body.first() == Some(&1) { 20..24 } else { 12..16 };
                essence.extend_from_slice(body.get(track).unwrap_or_default());
            }
            b"hdlr" | b"stsd" | b"trex" => essence.extend_from_slice(found),
            _ => {}
        }
        bytes = rest;
    }
}

#[cfg(test)]
mod tests;
