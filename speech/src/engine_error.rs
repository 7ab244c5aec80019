//! Errors of speech engines, and what they mean for a job.

use std::path::Path;

use bedel_media::MediaError;
use bedel_queue::JobError;

use super::models::{self, ModelError};
use super::remote::RemoteError;

/// Why an engine returned no transcript.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The control was cancelled.
    #[error("the transcription was stopped")]
    Cancelled,
    /// The model is not on this host.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model does not know the language.
    #[error(
        "the speech model {model} cannot transcribe the language {language:?}; set BEDEL_LANGUAGE or BEDEL_MODEL to fit"
    )]
    Language {
        /// The model.
        model: String,
        /// The language requested.
        language: String,
    },
    /// The model does not know the language of the recording's own options.
    #[error(
        "the speech model {model} cannot transcribe the language {language:?} that this recording asks for"
    )]
    LanguageOption {
        /// The model.
        model: String,
        /// The language requested.
        language: String,
    },
    /// A speech server failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The sound could not be encoded for a server.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The call log refused a record.
    #[error("{0}")]
    CallLog(JobError),
    /// The pieces do not add up to the recording.
    #[error(
        "a piece of the recording goes from sample {} to {}, but the next piece begins at {start} and the recording has {all}",
        piece.0, piece.1
    )]
    PieceBounds {
        /// The first sample without a transcript.
        start: u64,
        /// Samples of the recording.
        all: u64,
        /// Its first sample, and the first behind it.
        piece: (u64, u64),
    },
    /// The engine failed.
    #[error("the speech engine failed: {0}")]
    Failed(String),
}

/// Paths, models and the engine's words go to the log. The student gets a sentence and what to do.
impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        if !matches!(error, EngineError::Cancelled | EngineError::CallLog(_)) {
            tracing::warn!(%error, "no transcript");
        }
        match error {
            // The attempt was cancelled, released or lost its lease: it must write nothing.
            EngineError::Cancelled => Self::lost_lease(),
            EngineError::CallLog(error) => error,
            EngineError::Remote(error) => error.into(),
            EngineError::Media(error) => error.into(),
            EngineError::Model(_) => JobError::host_fault(
                "model-missing",
                "The speech model cannot be used on the server. This lecture continues once it can; if it ends as failed, \
                 tell the operators and use retry.",
            ),
            EngineError::Language { .. } => JobError::host_fault(
                "engine",
                "The server is set to a language that its speech model does not know. This lecture continues once that \
                 is corrected; if it ends as failed, tell the operators and use retry.",
            ),
            EngineError::PieceBounds { .. } => Self::retry("engine", error.to_string()),
            EngineError::LanguageOption { model, language } => {
                let model = models::name_of(Path::new(&model)).unwrap_or(model);
                Self::fatal(
                    "language",
                    format!(
                        "The speech model {model} does not know the language {language:?} (field `language`). Transcribe \
                         this lecture again with another `language`, or with a `model` for several languages, such as base."
                    ),
                )
            }
            EngineError::Failed(_) => Self::retry(
                "engine",
                "The recording could not be transcribed. If this lecture ends as failed, use retry later, and tell the \
                 operators if it fails again.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_errors_map_to_job_errors() {
        let job = |error: EngineError| JobError::from(error);
        let missing = ModelError::NotInstalled { name: "a".into(), dir: "/m".into() };
        let missing = job(missing.into());
        assert_eq!(
            (missing.class(), missing.wait_delay()),
            ("model-missing", Some(JobError::HOST_FAULT_PAUSE))
        );
        let language = job(EngineError::Language { model: "/m".into(), language: "de".into() });
        assert_eq!((language.class(), language.wait_delay()), ("engine", Some(JobError::HOST_FAULT_PAUSE)));
        let own =
            job(EngineError::LanguageOption { model: "/m/ggml-tiny.en.bin".into(), language: "de".into() });
        assert_eq!((own.class(), own.is_fatal()), ("language", true));
        let text = own.to_string();
        assert!(text.contains("tiny.en") && text.contains("\"de\"") && !text.contains("/m"), "{text}");
        assert!(text.contains("`language`") && text.contains("`model`"), "{text}");
        assert_eq!(job(EngineError::Cancelled).class(), "lost-lease");
        let failed = job(EngineError::Failed("/m".into()));
        assert_eq!((failed.class(), failed.is_fatal(), failed.wait_delay()), ("engine", false, None));
        for error in [missing, language, failed] {
            let text = error.to_string();
            assert!(!text.contains("/m") && text.contains("retry") && text.contains("operators"), "{text}");
        }
    }
}
