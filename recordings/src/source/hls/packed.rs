//! Packed audio: frames of AAC (ADTS) or MPEG audio behind an ID3 tag (RFC 8216, 3.4).

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};

/// Bitrates of layer III in kbit/s, by their index, of MPEG 1 and of MPEG 2.
const BITRATES: [[u64; 15]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Samples per second of MPEG 1, by their index. MPEG 2 has half of them, MPEG 2.5 a quarter.
const SAMPLE_RATES: [u64; 3] = [44_100, 48_000, 32_000];

/// Bytes of a frame that are searched for a header of the whole file: it begins 36 bytes in at the latest.
const HEADER_BYTES: usize = 40;

/// Appends a segment without what belongs to a file, not to its sound: ID3 tags at its beginning, and the frame in which an encoder
/// notes the length of its file. Within a joined file that frame would be heard as silence, and its length would be wrong.
pub(super) fn append(segment: &mut File, target: &mut File) -> io::Result<()> {
    let mut start = skip_tags(segment)?;
    if let Some(frame) = read_head(segment, start)?
        && let Some(length) = layer3_length(&frame)
        && [b"Xing", b"Info", b"VBRI"].iter().any(|name| frame.windows(4).any(|bytes| bytes == *name))
    {
        start += length;
    }
    segment.seek(SeekFrom::Start(start))?;
    io::copy(segment, target)?;
    target.flush()
}

/// True where frames follow each other from the beginning to the end, except for less than a cipher block.
pub(super) fn is_all_frames(segment: &mut File) -> io::Result<bool> {
    let length = segment.metadata()?.len();
    let mut at = skip_tags(segment)?;
    let mut reader = BufReader::new(segment);
    reader.seek(SeekFrom::Start(at))?;
    let mut frames = 0;
    while length - at >= 16 {
        let mut head = [0; 7];
        reader.read_exact(&mut head)?;
        let Some(frame) = adts_length(&head).or_else(|| layer3_length(&head)) else { return Ok(false) };
        if frame < 7 || frame > length - at {
            return Ok(false);
        }
        at += frame;
        frames += 1;
        reader.seek_relative(i64::try_from(frame).map_err(|_| ErrorKind::InvalidData)? - 7)?;
    }
    Ok(frames > 1)
}

/// The offset behind all ID3v2 tags at the beginning.
fn skip_tags(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut at = 0;
    while let Some(head) = read_head(file, at)?.filter(|head| head.starts_with(b"ID3")) {
        // Seven bits of each byte.
        let size = head[6..10].iter().fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7f));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        at = (at + 10 + size + footer).min(length);
    }
    Ok(at)
}

/// The first bytes at an offset. `None` where the file ends before.
fn read_head(file: &mut File, at: u64) -> io::Result<Option<[u8; HEADER_BYTES]>> {
    file.seek(SeekFrom::Start(at))?;
    let mut head = [0; HEADER_BYTES];
    match file.read_exact(&mut head) {
        Ok(()) => Ok(Some(head)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes of a frame of AAC with this ADTS header (ISO 13818-7, 6.2).
fn adts_length(head: &[u8]) -> Option<u64> {
    let &[0xff, second, _, fourth, fifth, sixth, ..] = head else { return None };
    let length = u64::from(fourth & 0b11) << 11 | u64::from(fifth) << 3 | u64::from(sixth >> 5);
    (second & 0xf6 == 0xf0).then_some(length)
}

/// Bytes of a frame of layer III with this header (ISO 11172-3, 2.4.2.3).
fn layer3_length(head: &[u8]) -> Option<u64> {
    let &[0xff, second, third, ..] = head else { return None };
    // Bits: 11 of synchronisation, 2 of the version, 2 of the layer.
    let (version, layer) = (second >> 3 & 0b11, second >> 1 & 0b11);
    if second & 0xe0 != 0xe0 || version == 0b01 || layer != 0b01 {
        return None;
    }
    let is_first = version == 0b11;
    let bitrate = BITRATES[usize::from(!is_first)].get(usize::from(third >> 4)).filter(|&&rate| rate > 0)?;
    let rate = SAMPLE_RATES.get(usize::from(third >> 2 & 0b11))?;
    let padding = u64::from(third >> 1 & 1);
    let (samples, divisor) = match version {
        0b11 => (144, 1),
        0b10 => (72, 2),
        _ => (72, 4),
    };
    Some(samples * bitrate * 1000 / (rate / divisor) + padding)
}

#[cfg(test)]
mod tests;
