//! The limits of a caption.

/// Shortest cue in milliseconds: 5/6 s.
pub const MIN_MILLISECONDS: i64 = 834;
/// Longest cue in milliseconds.
pub const MAX_MILLISECONDS: i64 = 7000;
/// Shortest gap between cues in milliseconds: two frames at 24 frames a second.
pub const GAP_MILLISECONDS: i64 = 84;
/// Most characters in a line.
pub const MAX_LINE_CHARS: usize = 42;
/// Most full-width characters in a line.
pub const MAX_WIDE_LINE_CHARS: usize = 16;
/// Characters that a viewer reads in a second.
pub const CHARS_PER_SECOND: i64 = 20;
