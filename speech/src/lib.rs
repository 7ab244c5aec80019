//! From speech to text: engines, what they return, and the models they need.

pub mod decoded_audio;
pub mod digest;
pub mod engine;
pub mod engines;
pub mod language;
pub mod models;
mod pauses;
mod payload;
pub mod pieces;
pub mod remote;
mod repetition;
pub mod srt;
pub mod transcript;
pub mod transcription;
pub mod vtt;
pub mod wer;
#[cfg(feature = "whisper")]
pub mod whisper;

pub use decoded_audio::{DecodedAudio, DecodedAudioError};
pub use engine::{
    AudioChunk, CallLog, Control, Engine, EngineError, EngineInfo, PaidCall, RawSegment, RawTranscript,
};
pub use engines::{Choice, Engines};
pub use transcript::Transcript;
pub use transcription::{Piece, PieceStore, Transcription, transcribe_pieces};
