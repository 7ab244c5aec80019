//! From speech to text: engines, what they return, and the models they need.

pub mod decoded;
pub mod digest;
pub mod engine;
pub mod engines;
pub mod language;
pub mod listening;
pub mod models;
mod pauses;
mod payload;
pub mod pieces;
pub mod remote;
mod repetition;
pub mod srt;
pub mod transcript;
pub mod vtt;
pub mod wer;
#[cfg(feature = "whisper")]
pub mod whisper;

pub use decoded::{Decoded, DecodedError};
pub use engine::{
    Control, Engine, EngineError, EngineInfo, Ledger, Order, Passage, RawSegment, RawTranscript,
};
pub use engines::{Choice, Engines};
pub use listening::{Heard, Keep, Piece, listen};
pub use transcript::Transcript;
