//! Encrypts segments with AES-128 in CBC mode. (ffmpeg's `crypto` protocol can too, but drops an ID3 tag at the beginning.)

use aes::Aes128;
use bytes::Bytes;
use cbc::Encryptor;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};

use super::key::Key;
use super::segments::Stream;

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
pub(super) fn encrypt(stream: &mut Stream, key: [u8; 16], rotate: bool, padding: Padding) {
    for (number, segment) in stream.segments.iter_mut().enumerate() {
        let key_number = if rotate { number } else { 0 };
        let mut secret = key;
        secret[0] ^= u8::try_from(key_number % 256).expect("a byte");
        let mut iv = u128::try_from(number).expect("a segment number").to_be_bytes();
        if rotate {
            iv[0] = 0xa5;
        }
        segment.bytes = encrypt_bytes(&segment.bytes, secret, iv, padding);
        let name = format!("key{key_number}.bin");
        if key_number == stream.keys.len() {
            stream.keys.push((name.clone(), Bytes::copy_from_slice(&secret)));
        }
        segment.key = Some(Key { uri: name, iv });
    }
}

fn encrypt_bytes(clear: &[u8], key: [u8; 16], iv: [u8; 16], padding: Padding) -> Bytes {
    let mut bytes = clear.to_vec();
    match padding {
        Padding::Pkcs7 => {
            let missing = BLOCK - bytes.len() % BLOCK;
            bytes.resize(bytes.len() + missing, u8::try_from(missing).expect("at most 16"));
        }
        Padding::Zeros => bytes.resize(bytes.len().next_multiple_of(BLOCK), 0),
    }
    let mut cipher = Encryptor::<Aes128>::new(&key.into(), &iv.into());
    for block in bytes.chunks_exact_mut(BLOCK) {
        let block: &mut [u8; BLOCK] = block.try_into().expect("exact chunks");
        cipher.encrypt_block(block.into());
    }
    bytes.into()
}
