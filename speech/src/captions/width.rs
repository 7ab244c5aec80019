//! The width of characters.

use super::limits::{MAX_LINE_CHARS, MAX_WIDE_LINE_CHARS};

/// Width of a line. A narrow character has [`MAX_WIDE_LINE_CHARS`], a wide one [`MAX_LINE_CHARS`].
pub(super) const LINE: usize = MAX_LINE_CHARS * MAX_WIDE_LINE_CHARS;

/// Width of a narrow character.
pub(super) const NARROW: usize = MAX_WIDE_LINE_CHARS;
const WIDE: usize = MAX_LINE_CHARS;

/// True for full-width characters: those of Chinese, Japanese and Korean.
pub(super) fn is_wide(character: char) -> bool {
    matches!(u32::from(character),
        0x1100..=0x115F | 0x2E80..=0x303E | 0x3041..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF
        | 0xFE30..=0xFE4F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x20000..=0x3FFFD)
}

pub(super) fn width_of(character: char) -> usize {
    if is_wide(character) { WIDE } else { NARROW }
}
