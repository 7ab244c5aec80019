//! Timestamps of packed audio: an ID3 tag at the start of each segment (RFC 8216, 3.4).

use bytes::{BufMut, BytesMut};

use super::segments::Stream;

const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";
/// Ticks per second of a transport stream's clock.
const CLOCK_RATE: f64 = 90_000.0;

/// Puts the tag before each segment.
pub(super) fn add_timestamps(stream: &mut Stream) {
    let mut seconds = 0.0;
    for segment in &mut stream.segments {
        let mut bytes = BytesMut::new();
        put_tag(&mut bytes, ticks(seconds));
        bytes.extend_from_slice(&segment.bytes);
        segment.bytes = bytes.freeze();
        seconds += segment.seconds;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most the hours of a lecture, and not negative"
)]
fn ticks(seconds: f64) -> u64 {
    (seconds * CLOCK_RATE).round() as u64
}

/// An ID3v2.4 tag with one PRIV frame: the owner, and the time in 8 bytes. Sizes below 128 look the same in
/// ID3's seven-bit encoding.
fn put_tag(tag: &mut BytesMut, ticks: u64) {
    let frame = u8::try_from(OWNER.len() + 8).expect("a short frame");
    tag.put_slice(b"ID3\x04\0\0\0\0\0");
    tag.put_u8(frame + 10);
    tag.put_slice(b"PRIV\0\0\0");
    tag.put_u8(frame);
    tag.put_slice(&[0, 0]);
    tag.put_slice(OWNER);
    tag.put_u64(ticks);
}
