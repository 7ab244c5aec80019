//! The key of a segment.

/// AES-128 key and initialization vector of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) uri: String,
    pub(super) iv: [u8; 16],
}

/// The hexadecimal digits of a key or an initialization vector.
pub(super) fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
