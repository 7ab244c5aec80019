//! From speech to text: engines, what they return, and the models they need.

pub mod decoded;
pub mod engine;
pub mod listening;
pub mod models;
pub mod pieces;
mod repetition;
pub mod srt;
pub mod transcript;
pub mod vtt;
pub mod wer;
#[cfg(feature = "whisper")]
pub mod whisper;

pub use decoded::{Decoded, DecodedError};
pub use engine::{Control, Engine, EngineError, EngineInfo, RawSegment, RawTranscript};
pub use listening::{Heard, Keep, Piece, listen};
pub use transcript::Transcript;
