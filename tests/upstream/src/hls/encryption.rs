//! Encrypts segments with AES-128 in CBC mode, through ffmpeg's `crypto` protocol.

use std::path::Path;

use bytes::Bytes;

use super::key::{Key, hex};
use super::segments::Stream;
use crate::media::Arguments;

/// Bytes of a block.
const BLOCK: usize = 16;

/// How the last block is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// As RFC 8216 demands.
    Pkcs7,
    /// With zeros, or with nothing where it is full.
    Zeros,
}

/// Encrypts each segment by itself and adds the keys.
pub(super) fn encrypt(directory: &Path, stream: &mut Stream, key: [u8; 16], rotate: bool, padding: Padding) {
    for (number, segment) in stream.segments.iter_mut().enumerate() {
        let key_number = if rotate { number } else { 0 };
        let mut secret = key;
        secret[0] ^= u8::try_from(key_number % 256).expect("a byte");
        let mut iv = u128::try_from(number).expect("a segment number").to_be_bytes();
        if rotate {
            iv[0] = 0xa5;
        }
        segment.bytes = encrypt_bytes(directory, &segment.bytes, secret, iv, padding);
        let name = format!("key{key_number}.bin");
        if key_number == stream.keys.len() {
            stream.keys.push((name.clone(), Bytes::copy_from_slice(&secret)));
        }
        segment.key = Some(Key { uri: name, iv });
    }
}

fn encrypt_bytes(directory: &Path, clear: &[u8], key: [u8; 16], iv: [u8; 16], padding: Padding) -> Bytes {
    let (from, to) = (directory.join("clear.bin"), directory.join("encrypted.bin"));
    let mut clear = clear.to_vec();
    if padding == Padding::Zeros {
        clear.resize(clear.len().next_multiple_of(BLOCK), 0);
    }
    std::fs::write(&from, &clear).expect("a writable directory");
    let mut args = Arguments::default();
    args.add(["-f", "data", "-i"]).add([&from]).add(["-map", "0", "-c", "copy", "-f", "data"]);
    args.add(["-encryption_key", &hex(key), "-encryption_iv", &hex(iv)]);
    args.add([format!("crypto:{}", to.display())]).run();
    let encrypted = Bytes::from(std::fs::read(to).expect("the output of ffmpeg"));
    match padding {
        Padding::Pkcs7 => encrypted,
        // ffmpeg adds a block of padding to a full one.
        Padding::Zeros => encrypted.slice(..clear.len()),
    }
}
