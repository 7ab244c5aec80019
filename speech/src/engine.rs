//! The interface of speech engines: decoded sound in, timed text out, with progress and cancellation.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::call_log::CallLog;
use super::control::Control;
use super::engine_error::EngineError;
use super::pieces;
use super::prompt::Prompt;
use super::raw_transcript::RawTranscript;

/// The engine and model that made a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// For example `whisper.cpp`.
    pub engine: String,
    /// For example `tiny.en`.
    pub model: String,
}

/// Sound to transcribe: a piece of a recording, or all of it.
#[derive(Clone, Copy)]
pub struct AudioChunk<'a> {
    /// At least one sample, all of them finite, at [`SAMPLE_RATE`](bedel_media::sound::SAMPLE_RATE).
    pub samples: &'a Arc<Vec<f32>>,
    /// A two- or three-letter code; `None` leaves it to the engine's configuration.
    pub language: Option<&'a str>,
    /// Words to expect.
    pub prompt: Option<&'a Prompt>,
    /// Identifies these samples and settings across attempts, and nothing else. Letters, digits and hyphens.
    pub name: &'a str,
    /// A directory for temporary files. Its owner removes it.
    pub scratch: &'a Path,
    /// Records calls that cost money.
    pub call_log: &'a dyn CallLog,
}

/// A speech engine.
pub trait Engine: fmt::Debug + Send + Sync {
    /// The engine's name and its model's.
    fn describe(&self) -> EngineInfo;

    /// The same engine with another model, or `None` if the engine has only one. An unknown model fails when
    /// used.
    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>>;

    /// Fingerprint of engine, model and settings. Identifies a local model by its content, not by its name.
    /// Blocks: it may read the model.
    ///
    /// # Errors
    /// As [`Engine::transcribe`].
    fn fingerprint(&self) -> Result<String, EngineError>;

    /// True if a server does the work, perhaps for money. Then every finished piece is stored, however short.
    fn is_remote(&self) -> bool {
        false
    }

    /// Most samples of one chunk.
    fn max_samples(&self) -> u64 {
        pieces::MAX_PIECE_SAMPLES
    }

    /// Checks whether the engine is usable now, without paying for anything.
    ///
    /// # Errors
    /// As [`Engine::transcribe`].
    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async { Ok(()) })
    }

    /// Transcribes a chunk.
    ///
    /// Ends at once when the control is cancelled. Work on another thread then stops as soon as the engine
    /// can, and writes nothing. Dropping the future has the same effect.
    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>>;
}
