//! Where the finished pieces of a recording are stored between attempts.

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call_log::CallLog;
use super::decoded_audio::{DecodedAudio, DecodedAudioError};
use super::engine_error::EngineError;
use super::gap::Gap;
use super::raw_transcript::RawSegment;

/// The transcript of one piece of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Its first sample in the recording.
    pub start: u64,
    /// The first sample of the next piece.
    pub end: u64,
    /// The language spoken, as a two- or three-letter code. Empty if the engine did not say.
    pub language: String,
    /// With times from the start of the piece.
    pub segments: Vec<RawSegment>,
    /// Stretches that lack words, with times from the start of the piece.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// How often the engine was asked for it. A piece with gaps is asked for twice.
    #[serde(default)]
    pub requests: u32,
    /// The engine's answer in its own format.
    #[serde(default)]
    pub raw: Value,
    /// Answers for parts of it, as in [`Transcript::raw`](crate::Transcript::raw).
    #[serde(default)]
    pub raw_parts: Vec<Value>,
}

/// Stores finished pieces, so that a later attempt resumes behind them.
pub trait PieceStore: CallLog + Sized {
    /// Errors of the store, the engine and the decoded audio.
    type Error: From<EngineError> + From<DecodedAudioError>;

    /// The name of the chunk with these samples: [`AudioChunk::name`](crate::AudioChunk::name).
    fn chunk_name(&self, samples: &Range<u64>) -> String;

    /// A directory for temporary files.
    fn scratch(&self) -> &Path;

    /// The finished piece that begins at the sample `start`, if it is stored.
    fn find_piece(
        &self,
        start: u64,
        audio: &DecodedAudio,
    ) -> impl Future<Output = Result<Option<Piece>, Self::Error>> + Send;

    /// Stores the `number`th piece, counted from 1. `speed` is the seconds of sound transcribed per second so
    /// far.
    fn save_piece(
        &self,
        piece: &Piece,
        number: usize,
        speed: f64,
        audio: &DecodedAudio,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
