//! What is known about the speech of one recording, and an engine that uses it.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use super::control::Control;
use super::engine::{AudioChunk, Engine, EngineInfo};
use super::engine_error::EngineError;
use super::prompt::Prompt;
use super::raw_transcript::{RawSegment, RawTranscript};

/// An engine that invents words in silence repeats its prompt. A segment that does, and whose probability of
/// no speech is higher, is dropped. Whisper's own threshold.
const NO_SPEECH: f64 = 0.6;

/// Largest difference between a segment's start and the start in the engine's own answer, in seconds.
const SAME_START_SECONDS: f64 = 0.5;

/// What is known about the speech of one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hints {
    /// The language spoken, as a two- or three-letter code.
    pub language: Option<String>,
    /// Words to expect.
    pub prompt: Prompt,
}

impl Hints {
    /// The engine with these hints for every chunk. Without any hint, the engine itself.
    #[must_use]
    pub fn apply(self, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        if self == Self::default() { engine } else { Arc::new(HintedEngine { engine, hints: self }) }
    }
}

/// An engine with hints.
#[derive(Debug)]
struct HintedEngine {
    engine: Arc<dyn Engine>,
    hints: Hints,
}

impl Engine for HintedEngine {
    fn describe(&self) -> EngineInfo {
        self.engine.describe()
    }

    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
        Some(self.hints.clone().apply(self.engine.with_model(model)?))
    }

    /// Pieces that were made with other hints are not reused, except for the titles of a prompt.
    fn fingerprint(&self) -> Result<String, EngineError> {
        let hints = serde_json::to_string(&self.hints).expect("plain data is JSON");
        Ok(format!("{} {hints}", self.engine.fingerprint()?))
    }

    fn is_remote(&self) -> bool {
        self.engine.is_remote()
    }

    fn max_samples(&self) -> u64 {
        self.engine.max_samples()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.engine.ping()
    }

    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        let Hints { language, prompt } = &self.hints;
        let chunk = AudioChunk {
            language: language.as_deref().or(chunk.language),
            prompt: (!prompt.is_empty()).then_some(prompt),
            ..chunk
        };
        Box::pin(async move {
            let mut transcript =
                self.engine.transcribe(chunk, control).await.map_err(|error| match error {
                    EngineError::Language { model, language: refused }
                        if language.as_ref() == Some(&refused) =>
                    {
                        EngineError::LanguageOption { model, language: refused }
                    }
                    other => other,
                })?;
            drop_echoes(prompt, &mut transcript);
            Ok(transcript)
        })
    }
}

/// Drops segments that only repeat the prompt where the engine itself doubts that anything is said. An engine
/// that reports no such doubt keeps all its segments.
fn drop_echoes(prompt: &Prompt, transcript: &mut RawTranscript) {
    let RawTranscript { segments, raw, .. } = transcript;
    let Some(answered) = raw.get("segments").and_then(Value::as_array) else { return };
    let doubtful: Vec<(f64, &str)> = answered
        .iter()
        .filter(|segment| segment["no_speech_prob"].as_f64().is_some_and(|doubt| doubt > NO_SPEECH))
        .filter_map(|segment| Some((segment["start"].as_f64()?, segment["text"].as_str()?.trim())))
        .filter(|(_, text)| prompt.is_echo(text))
        .collect();
    let is_echo = |segment: &RawSegment| {
        doubtful.iter().any(|(start, text)| {
            (segment.start - start).abs() <= SAME_START_SECONDS && segment.text.trim() == *text
        })
    };
    segments.retain(|segment| !is_echo(segment));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::call_log::CallLog;
    use super::super::no_piece_store::NoPieceStore;
    use super::*;

    /// Answers with what it was asked, and with an echo of its prompt.
    #[derive(Debug)]
    struct Parrot;

    impl Engine for Parrot {
        fn describe(&self) -> EngineInfo {
            EngineInfo { engine: "parrot".to_owned(), model: "grey".to_owned() }
        }

        fn with_model(&self, _: &str) -> Option<Arc<dyn Engine>> {
            Some(Arc::new(Self))
        }

        fn fingerprint(&self) -> Result<String, EngineError> {
            Ok("parrot".to_owned())
        }

        fn transcribe<'a>(
            &'a self,
            chunk: AudioChunk<'a>,
            _: &'a Control,
        ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
            Box::pin(async move {
                let language = chunk.language.unwrap_or("en").to_owned();
                if language == "de" {
                    return Err(EngineError::Language { model: "grey".to_owned(), language });
                }
                let echo = chunk.prompt.and_then(|prompt| prompt.text(100, str::len)).unwrap_or_default();
                let spoken = [(0.0, 0.1), (30.0, 0.9)];
                let raw = spoken
                    .map(|(start, doubt)| json!({ "start": start, "text": echo, "no_speech_prob": doubt }));
                let segments = spoken
                    .map(|(start, _)| RawSegment { start, end: start + 2.0, text: format!(" {echo}") })
                    .to_vec();
                Ok(RawTranscript { language, segments, gaps: Vec::new(), raw: json!({ "segments": raw }) })
            })
        }
    }

    async fn heard(hints: Hints, language: Option<&str>) -> Result<RawTranscript, EngineError> {
        let (samples, store) = (Arc::new(vec![0.0; 16]), NoPieceStore::new("/"));
        let call_log: &dyn CallLog = &store;
        let scratch = Path::new("/");
        let chunk = AudioChunk { samples: &samples, language, prompt: None, name: "0", scratch, call_log };
        hints.apply(Arc::new(Parrot)).transcribe(chunk, &Control::new(Default::default(), |_| ())).await
    }

    fn hints(language: Option<&str>, terms: &[&str]) -> Hints {
        Hints { language: language.map(str::to_owned), prompt: Prompt::new(terms) }
    }

    #[tokio::test]
    async fn a_chunk_gets_the_hints() {
        let transcript = heard(hints(Some("fr"), &["Krebs cycle"]), Some("en")).await.unwrap();
        assert_eq!(transcript.language, "fr");
        assert_eq!(transcript.segments[0].text, " Krebs cycle.");
        let transcript = heard(hints(None, &["Krebs cycle"]), Some("en")).await.unwrap();
        assert_eq!(transcript.language, "en");
    }

    #[tokio::test]
    async fn an_echo_is_dropped_only_where_nothing_is_said() {
        let transcript = heard(hints(None, &["Krebs cycle"]), None).await.unwrap();
        let starts: Vec<_> = transcript.segments.iter().map(|segment| segment.start).collect();
        assert_eq!(starts, [0.0]);
    }

    #[tokio::test]
    async fn a_language_that_the_model_does_not_know_is_blamed_on_who_chose_it() {
        let own = heard(hints(Some("de"), &[]), None).await.unwrap_err();
        assert!(matches!(own, EngineError::LanguageOption { .. }), "{own:?}");
        let configured = heard(hints(None, &["Krebs cycle"]), Some("de")).await.unwrap_err();
        assert!(matches!(configured, EngineError::Language { .. }), "{configured:?}");
    }

    #[test]
    fn the_fingerprint_depends_on_every_hint() {
        let fingerprint = |hints: Hints| hints.apply(Arc::new(Parrot)).fingerprint().unwrap();
        let all = [hints(None, &[]), hints(Some("en"), &[]), hints(None, &["en"]), hints(None, &["e", "n"])];
        let distinct: std::collections::BTreeSet<_> = all.into_iter().map(fingerprint).collect();
        assert_eq!(distinct.len(), 4, "{distinct:?}");
        assert!(distinct.contains("parrot"), "without hints the engine's own");
        let titled = |title: &str| {
            let prompt = Prompt::new(["en"]).with_titles([title]);
            fingerprint(Hints { language: None, prompt })
        };
        assert_eq!(titled("Graphs"), titled("Trees"), "a title may change between attempts");
        let other = hints(None, &["en"]).apply(Arc::new(Parrot)).with_model("blue").unwrap();
        assert_eq!(other.fingerprint().unwrap(), fingerprint(hints(None, &["en"])));
    }
}
