//! What a speech engine is: it turns decoded sound into timed text, tells how far it is, and stops when told.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bedel_media::MediaError;
use bedel_queue::JobError;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::models::ModelError;
use super::pieces;
use super::remote::RemoteError;

/// Which engine and model made a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// For example `whisper.cpp`.
    pub engine: String,
    /// For example `tiny.en`.
    pub model: String,
}

/// What an engine heard in some sound, before anything is trimmed, dropped or put in order.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTranscript {
    /// The language spoken, as a two- or three-letter code. Empty where the engine does not tell.
    pub language: String,
    /// In the engine's order.
    pub segments: Vec<RawSegment>,
    /// What else the engine said, in its own words.
    pub raw: Value,
}

/// A piece of speech, usually a sentence or less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawSegment {
    /// Seconds from the start of the sound.
    pub start: f64,
    /// Seconds from the start of the sound.
    pub end: f64,
    /// What was said; may hold marks such as `[BLANK_AUDIO]`.
    pub text: String,
}

/// How a caller follows a transcription and stops it.
#[derive(Clone)]
pub struct Control {
    cancellation: CancellationToken,
    progress: Arc<dyn Fn(f64) + Send + Sync>,
}

impl Control {
    /// `progress` is called with fractions from 0 to 1, from any thread, now and then; it must return quickly.
    pub fn new(cancellation: CancellationToken, progress: impl Fn(f64) + Send + Sync + 'static) -> Self {
        Self { cancellation, progress: Arc::new(progress) }
    }

    /// True from the moment the transcription is to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Ends when the transcription is to stop.
    pub async fn cancelled(&self) {
        self.cancellation.cancelled().await;
    }

    /// For a part of what this is for: it begins at the fraction `from` of all and is as large as `share`.
    #[must_use]
    pub fn part(&self, from: f64, share: f64) -> Self {
        let whole = self.clone();
        Self::new(self.cancellation.clone(), move |fraction| whole.report(from + share * fraction))
    }

    /// Tells the caller how far the transcription is, 0 to 1.
    pub fn report(&self, fraction: f64) {
        (self.progress)(fraction);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Control").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// Some sound that is to be transcribed: a piece of a recording, or all of it.
#[derive(Clone, Copy)]
pub struct AudioChunk<'a> {
    /// [`SAMPLE_RATE`] of them per second and at least one, all of them numbers.
    pub samples: &'a Arc<Vec<f32>>,
    /// A two- or three-letter code; `None` leaves it to the engine's configuration.
    pub language: Option<&'a str>,
    /// The same in each attempt to have these samples transcribed in this way, and for nothing else. Letters, digits and hyphens.
    pub name: &'a str,
    /// A directory for files that are of no use afterwards. Its owner removes it.
    pub scratch: &'a Path,
    /// Who pays.
    pub call_log: &'a dyn CallLog,
}

/// What is known of a chunk that somebody else was asked for, and that may have to be paid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidCall {
    /// [`AudioChunk::name`].
    #[serde(rename = "passage")]
    pub chunk: String,
    /// Calls that may have been paid for.
    pub calls: u32,
    /// Calls of which it is known that nothing will come of them: the next one asks for something new.
    pub failures: u32,
    /// The task that is under way, where the server told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

impl PaidCall {
    /// The same for calls that ask for the same thing: a server that knows it does the work once.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}-{}", self.chunk, self.failures)
    }
}

/// Where orders are entered.
pub trait CallLog: Send + Sync {
    /// What is known of a chunk; nothing yet, or what an earlier attempt entered.
    fn paid_call(&self, chunk: &str) -> PaidCall;

    /// Enters it. It is not forgotten, whatever happens to this process, once this returns; where nobody is entitled to
    /// it any more that is an error, and while nobody knows it waits.
    fn record<'a>(&'a self, order: &'a PaidCall) -> BoxFuture<'a, Result<(), EngineError>>;
}

/// A speech engine.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Its name and its model's.
    fn describe(&self) -> EngineInfo;

    /// The same engine with another model; whether it has one of that name is seen when it is used. None where it has no choice.
    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>>;

    /// What tells what it makes of some sound from what another engine, model or setting makes of it. A model is known by its
    /// content here where it can be looked at, not by its name. Blocks, as it may read the model.
    ///
    /// # Errors
    /// As [`Engine::transcribe`].
    fn fingerprint(&self) -> Result<String, EngineError>;

    /// Whether somebody else does the work, who may want to be paid for it: then each chunk that was transcribed is kept,
    /// however short it is.
    fn is_remote(&self) -> bool {
        false
    }

    /// The most it takes at once, in samples.
    fn max_samples(&self) -> u64 {
        pieces::MAX_PIECE_SAMPLES
    }

    /// Finds out whether it could be used now, as far as that costs nothing.
    ///
    /// # Errors
    /// As [`Engine::transcribe`].
    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async { Ok(()) })
    }

    /// Transcribes a chunk.
    ///
    /// Once the control's token fires the future ends at once. Work it left on another thread, as dropping it also
    /// does, stops by itself as soon as the engine can, and writes nothing.
    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>>;
}

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It was told to stop.
    #[error("the transcription was stopped")]
    Cancelled,
    /// The model is not on this host.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The language is not one the model knows.
    #[error(
        "the speech model {model} cannot transcribe the language {language:?}; set BEDEL_LANGUAGE or BEDEL_MODEL to fit"
    )]
    Language {
        /// The model.
        model: String,
        /// What was asked for.
        language: String,
    },
    /// A server did not do what it was asked for.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The sound could not be made ready for a server.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Whoever pays says no.
    #[error("{0}")]
    CallLog(JobError),
    /// The engine gave up.
    #[error("the speech engine failed: {0}")]
    Failed(String),
}

/// Paths, models and the engine's words go to the log; the student gets a sentence and what to do.
impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        if !matches!(error, EngineError::Cancelled | EngineError::CallLog(_)) {
            tracing::warn!(%error, "no transcript");
        }
        match error {
            // The token fires when the attempt is cancelled, released or has lost its lease: nothing is ours to write.
            EngineError::Cancelled => Self::lost_lease(),
            EngineError::CallLog(error) => error,
            EngineError::Remote(error) => error.into(),
            EngineError::Media(error) => error.into(),
            EngineError::Model(_) => JobError::host_fault(
                "model-missing",
                "The speech model cannot be used on the server. This lecture goes on once it can; if it ends as failed, \
                 tell the operators and use retry.",
            ),
            EngineError::Language { .. } => JobError::host_fault(
                "engine",
                "The server is set to a language that its speech model does not know. This lecture goes on once that is \
                 corrected; if it ends as failed, tell the operators and use retry.",
            ),
            EngineError::Failed(_) => Self::retry(
                "engine",
                "The recording could not be transcribed. If this lecture ends as failed, use retry later, and tell the \
                 operators if it stays.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_decides_by_itself() {
        let job = |error: EngineError| JobError::from(error);
        let missing = ModelError::NotInstalled { name: "a".into(), dir: "/m".into() };
        let missing = job(missing.into());
        assert_eq!(
            (missing.class(), missing.wait_delay()),
            ("model-missing", Some(JobError::HOST_FAULT_PAUSE))
        );
        let language = job(EngineError::Language { model: "/m".into(), language: "de".into() });
        assert_eq!((language.class(), language.wait_delay()), ("engine", Some(JobError::HOST_FAULT_PAUSE)));
        assert_eq!(job(EngineError::Cancelled).class(), "lost-lease");
        let failed = job(EngineError::Failed("/m".into()));
        assert_eq!((failed.class(), failed.is_fatal(), failed.wait_delay()), ("engine", false, None));
        for error in [missing, language, failed] {
            let text = error.to_string();
            assert!(!text.contains("/m") && text.contains("retry") && text.contains("operators"), "{text}");
        }
    }
}
