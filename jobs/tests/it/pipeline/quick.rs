//! An engine for tests of everything but the engine.

use std::path::Path;

use bedel_jobs::speech::{Control, Engine, EngineError, EngineInfo, RawSegment, RawTranscript};
use futures::future::BoxFuture;

use super::left::hex;

/// Stands in for a speech engine where its speed is not the matter: tens of transcriptions of the same three seconds
/// would take minutes. What it hears depends on every sample, so a transcript of half a file would be another one.
#[derive(Debug, Default)]
pub struct Quick {
    pub failing: std::sync::atomic::AtomicBool,
}

impl Engine for Quick {
    fn describe(&self) -> EngineInfo {
        EngineInfo { engine: "quick".to_owned(), model: "test".to_owned() }
    }

    fn transcribe<'a>(
        &'a self,
        audio: &'a Path,
        _: Option<&'a str>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(async move {
            if self.failing.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(EngineError::TooLong { hours: 13.0, limit: 12 });
            }
            let samples =
                tokio::fs::read(audio).await.map_err(|error| EngineError::Audio(error.to_string()))?;
            control.report(0.5);
            let duration = samples.len() as f64 / 64_000.0;
            let text = format!("It sounded like {}.", hex(&samples));
            Ok(RawTranscript {
                language: "en".to_owned(),
                duration,
                segments: vec![RawSegment { start: 0.0, end: duration, text }],
            })
        })
    }
}
