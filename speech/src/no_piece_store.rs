//! A store for callers that transcribe in one go and never resume.

use std::ops::Range;
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use uuid::Uuid;

use super::call_log::{CallLog, PaidCall};
use super::decoded_audio::{DecodedAudio, DecodedAudioError};
use super::engine_error::EngineError;
use super::piece_store::{Piece, PieceStore};

/// A [`PieceStore`] and [`CallLog`] that stores nothing. Each value has new chunk names, so a server does the work
/// again for the next one.
#[derive(Debug)]
pub struct NoPieceStore {
    scratch: PathBuf,
    run: Uuid,
}

/// Why a transcription without a store failed.
#[derive(Debug, thiserror::Error)]
pub enum NoPieceStoreError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The decoded audio cannot be used.
    #[error(transparent)]
    Decoded(#[from] DecodedAudioError),
}

impl NoPieceStore {
    /// Temporary files go to the directory `scratch`, which must exist.
    #[must_use]
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self { scratch: scratch.into(), run: Uuid::new_v4() }
    }
}

impl CallLog for NoPieceStore {
    fn paid_call(&self, chunk: &str) -> PaidCall {
        PaidCall { chunk: chunk.to_owned(), ..PaidCall::default() }
    }

    fn record<'a>(&'a self, _: &'a PaidCall) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async { Ok(()) })
    }
}

impl PieceStore for NoPieceStore {
    type Error = NoPieceStoreError;

    fn chunk_name(&self, samples: &Range<u64>) -> String {
        format!("{}-{}-{}", self.run, samples.start, samples.end)
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    async fn find_piece(&self, _: u64, _: &DecodedAudio) -> Result<Option<Piece>, Self::Error> {
        Ok(None)
    }

    async fn save_piece(&self, _: &Piece, _: usize, _: f64, _: &DecodedAudio) -> Result<(), Self::Error> {
        Ok(())
    }
}
