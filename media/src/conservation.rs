//! How far two lengths of one recording may differ.
//!
//! Announced, stored, decoded and sent seconds are one quantity. Each step compares its own with the one
//! before it, by the same tolerance.

/// Least tolerance, in seconds: containers round, and encoders add some frames.
const TOLERANCE_SECONDS: f64 = 2.0;

/// Tolerance as a share of the expected length: clocks of capture cards drift.
const TOLERANCE_SHARE: f64 = 0.005;

/// Largest difference from `expected` seconds that is no loss: 2 s or 0.5 %, whichever is more.
#[must_use]
pub fn tolerance(expected: f64) -> f64 {
    (expected * TOLERANCE_SHARE).max(TOLERANCE_SECONDS)
}

/// True if `seconds` is `expected`, longer, or shorter within the tolerance.
#[must_use]
pub fn is_whole(seconds: f64, expected: f64) -> bool {
    seconds >= expected - tolerance(expected)
}

/// True if the two lengths differ by no more than the tolerance.
#[must_use]
pub fn agree(seconds: f64, expected: f64) -> bool {
    (seconds - expected).abs() <= tolerance(expected)
}
