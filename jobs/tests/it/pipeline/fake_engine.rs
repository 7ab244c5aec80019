//! An engine for tests of everything but the engine.

use std::sync::Arc;

use bedel_speech::decoded_audio::seconds;
use bedel_speech::{AudioChunk, Control, Engine, EngineError, EngineInfo, RawSegment, RawTranscript};
use futures::future::BoxFuture;
use serde_json::Value;

use super::snapshot::hex;

/// Replaces a speech engine: tens of real transcriptions of the same three seconds would take minutes. Its
/// text depends on every sample, so half a file gives another transcript.
#[derive(Debug, Default)]
pub struct FakeEngine {
    /// It returns no text, in every attempt.
    pub deaf: std::sync::atomic::AtomicBool,
}

impl Engine for FakeEngine {
    fn describe(&self) -> EngineInfo {
        EngineInfo { engine: "quick".to_owned(), model: "test".to_owned() }
    }

    fn with_model(&self, _: &str) -> Option<Arc<dyn Engine>> {
        None
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        Ok("quick".to_owned())
    }

    fn transcribe<'a>(
        &'a self,
        passage: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(async move {
            let language = "en".to_owned();
            if self.deaf.load(std::sync::atomic::Ordering::SeqCst) {
                return Ok(RawTranscript {
                    language,
                    segments: Vec::new(),
                    gaps: Vec::new(),
                    raw: Value::Null,
                });
            }
            control.report(0.5);
            let samples = passage.samples;
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let end = seconds(samples.len() as u64);
            let text = format!("It sounded like {}.", hex(&bytes));
            let segments = vec![RawSegment { start: 0.0, end, text }];
            Ok(RawTranscript { language, segments, gaps: Vec::new(), raw: Value::Null })
        })
    }
}
