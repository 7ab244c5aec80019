//! AES-128 in CBC mode with PKCS #7 padding, as HLS has it (RFC 8216, 4.3.2.4).
//!
//! Some packagers pad with zeros, or not at all where a segment fills its last block. A wrong key leaves a wrong padding too, so
//! the caller has to check that the plain bytes are media.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};

/// Bytes of a block.
const BLOCK: usize = 16;

/// Bytes decrypted at a time.
const CHUNK: usize = 64 * 1024;

/// Decrypts `source` to `target`. Returns whether the padding was right; otherwise the last block is kept whole. Blocks.
///
/// # Errors
/// `InvalidData` for an empty file or one that ends within a block; the disk's.
pub(super) fn decrypt(source: &Path, target: &Path, key: [u8; 16], iv: [u8; 16]) -> io::Result<bool> {
    let mut cipher = Decryptor::<Aes128>::new(&key.into(), &iv.into());
    let (mut source, mut target) = (File::open(source)?, File::create(target)?);
    let mut chunk = vec![0; CHUNK];
    // The last block carries the padding, so it is written last.
    let mut last: Option<[u8; BLOCK]> = None;
    loop {
        let read = fill(&mut source, &mut chunk)?;
        if read == 0 {
            break;
        }
        if read % BLOCK != 0 {
            return Err(ErrorKind::InvalidData.into());
        }
        if let Some(block) = last {
            target.write_all(&block)?;
        }
        for block in chunk[..read].chunks_exact_mut(BLOCK) {
            let block: &mut [u8; BLOCK] = block.try_into().expect("exact chunks");
            cipher.decrypt_block(block.into());
        }
        let (whole, end) = chunk[..read].split_at(read - BLOCK);
        target.write_all(whole)?;
        last = end.try_into().ok();
    }
    let last = last.ok_or(ErrorKind::InvalidData)?;
    let padding = usize::from(last[BLOCK - 1]);
    let good = (1..=BLOCK).contains(&padding)
        && last[BLOCK - padding..].iter().all(|&byte| usize::from(byte) == padding);
    target.write_all(if good { &last[..BLOCK - padding] } else { &last })?;
    Ok(good)
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Checks against ffmpeg's implementation.
    #[test]
    fn what_ffmpeg_encrypted_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for length in [1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 16, 3 * CHUNK + 5] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            std::fs::write(path("plain"), &plain).expect("written");
            let status = Command::new("ffmpeg")
                .args(["-nostdin", "-loglevel", "error", "-y", "-f", "data", "-i"])
                .arg(path("plain"))
                .args(["-map", "0", "-c", "copy", "-f", "data"])
                .args(["-encryption_key", "000102030405060708090a0b0c0d0e0f"])
                .args(["-encryption_iv", "0000000000000000000000000000002a"])
                .arg(format!("crypto:{}", path("secret").display()))
                .status();
            assert!(status.expect("ffmpeg runs").success());
            let key = std::array::from_fn(|n| u8::try_from(n).expect("small"));
            let iv = 42_u128.to_be_bytes();
            assert!(decrypt(&path("secret"), &path("again"), key, iv).expect("decrypted"));
            assert_eq!(std::fs::read(path("again")).expect("read"), plain, "{length} bytes");

            let secret = std::fs::read(path("secret")).expect("read");
            std::fs::write(path("secret"), &secret[..secret.len() - 1]).expect("written");
            let cut = decrypt(&path("secret"), &path("again"), key, iv).expect_err("cut off");
            assert_eq!(cut.kind(), ErrorKind::InvalidData);

            // Without its last block, what was before it ends without a padding.
            if length > 2 * BLOCK {
                std::fs::write(path("secret"), &secret[..secret.len() - BLOCK]).expect("written");
                assert!(!decrypt(&path("secret"), &path("again"), key, iv).expect("decrypted"));
                let kept = std::fs::read(path("again")).expect("read");
                assert_eq!(kept, plain[..secret.len() - BLOCK], "{length} bytes");
            }
        }
    }
}
