//! What an engine returns, before anything is trimmed, dropped or sorted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gap::Gap;

/// An engine's result for some sound.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTranscript {
    /// The language spoken, as a two- or three-letter code. Empty if the engine does not say.
    pub language: String,
    /// In the engine's order.
    pub segments: Vec<RawSegment>,
    /// Places where the engine returned words without times, on the clock of the segments.
    pub gaps: Vec<Gap>,
    /// The engine's answer in its own format.
    pub raw: Value,
}

/// A stretch of speech, usually a sentence or less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawSegment {
    /// Seconds from the start of the sound.
    pub start: f64,
    /// Seconds from the start of the sound.
    pub end: f64,
    /// The text spoken. May contain labels such as `[BLANK_AUDIO]`.
    pub text: String,
}
