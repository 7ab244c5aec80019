//! SHA-256 of a reader.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Hashes a reader to its end. Returns 64 lower-case hexadecimal digits. Blocks.
///
/// # Errors
/// If reading fails.
pub fn sha256(mut reader: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex::encode(hash.finalize())),
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
