//! Whisper in this process (whisper.cpp).
//!
//! The first transcription loads the weights, and all share them; each has its own state. Each uses one
//! thread, because whisper.cpp's threads spin while they wait for each other: two on two busy cores took four
//! to six times as long as one (measured). Run as many jobs as there are cores instead.
//!
//! Cancelling ends the future at once. Its thread ends when whisper.cpp next checks the abort callback: after
//! every token, but only once per pass of the encoder over 30 seconds of sound, and never in the spectrogram
//! at the beginning. That takes seconds on a free core, longer on a busy one.

mod cpp;
mod listed_terms;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use self::cpp::{Model, Run, RunState};
use super::control::Control;
use super::engine::{AudioChunk, Engine, EngineInfo};
use super::engine_error::EngineError;
use super::models;
use super::prompt::Prompt;
use super::raw_transcript::{RawSegment, RawTranscript};

/// Most amplitude of digital silence (-80 dB). Whisper tends to invent words there.
const SILENCE: f32 = 1e-4;

/// Longest prompt, in tokens. Whisper reads 223, and would drop the first of a longer one.
const MAX_PROMPT_TOKENS: usize = 220;

/// An engine that runs a Whisper model.
#[derive(Debug, Clone)]
pub struct Whisper {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    model: String,
    dir: PathBuf,
    language: Option<String>,
    loaded: Mutex<Option<Arc<Model>>>,
    /// The model's sha256, once computed.
    sha256: Mutex<Option<String>>,
}

impl Whisper {
    /// An engine for a model: its name in the store `dir`, or its path. `language` applies unless the caller
    /// of a transcription names one; `None` lets a multilingual model detect it. Reads nothing before the
    /// first transcription.
    pub fn new(model: impl Into<String>, dir: impl Into<PathBuf>, language: Option<String>) -> Self {
        let (model, dir) = (model.into(), dir.into());
        let (loaded, sha256) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { model, dir, language, loaded, sha256 }) }
    }
}

impl Engine for Whisper {
    fn describe(&self) -> EngineInfo {
        let model = &self.inner.model;
        let name = models::name_of(Path::new(model)).unwrap_or_else(|| model.clone());
        EngineInfo { engine: "whisper.cpp".into(), model: name }
    }

    /// Another model is loaded separately, and unloaded with the returned engine. `None` for a path: a job must not
    /// name a file of its worker.
    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
        if self.inner.model == model {
            return Some(Arc::new(self.clone()));
        }
        models::is_name(model)
            .then(|| Arc::new(Self::new(model, &self.inner.dir, self.inner.language.clone())) as _)
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        let Inner { model, dir, language, sha256, .. } = &*self.inner;
        let mut known = sha256.lock().unwrap_or_else(PoisonError::into_inner);
        let sha256 = match &*known {
            Some(sha256) => sha256.clone(),
            None => known.insert(models::sha256(model, dir)?).clone(),
        };
        Ok(format!("whisper.cpp {sha256} {}", language.as_deref().unwrap_or("auto")))
    }

    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(async move {
            let samples = Arc::clone(chunk.samples);
            let language = chunk.language.map(str::to_owned);
            let prompt = chunk.prompt.cloned().unwrap_or_default();
            let run_state = RunState { control: control.clone(), dropped: Arc::default() };
            let _stop = StopOnDrop(Arc::clone(&run_state.dropped));
            let inner = Arc::clone(&self.inner);
            let work = tokio::task::spawn_blocking(move || {
                inner.transcribe(&samples, language.as_deref(), &prompt, &run_state)
            });
            tokio::select! {
                biased;
                done = work => done.map_err(|error| EngineError::Failed(error.to_string()))?,
                () = control.cancelled() => Err(EngineError::Cancelled),
            }
        })
    }
}

/// Stops the blocking work, which outlives the future that started it.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    fn transcribe(
        &self,
        samples: &[f32],
        language: Option<&str>,
        prompt: &Prompt,
        run_state: &RunState,
    ) -> Result<RawTranscript, EngineError> {
        if run_state.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        let model = self.load()?;
        let language = self.language(&model, language.or(self.language.as_deref()))?;
        if samples.iter().all(|sample| sample.abs() < SILENCE) {
            let language = if language == "auto" { "en" } else { language };
            return Ok(RawTranscript {
                language: language.to_owned(),
                segments: Vec::new(),
                gaps: Vec::new(),
                raw: Value::Null,
            });
        }
        if run_state.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        let prompt_text = prompt.text(MAX_PROMPT_TOKENS, |text| model.count_tokens(text));
        let share = if prompt_text.is_some() { 0.5 } else { 1.0 };
        let mut heard = pass(&model, samples, language, None, &run_state.part(0.0, share))?;
        if let Some(text) = prompt_text {
            let with_prompt =
                pass(&model, samples, &heard.language, Some(&text), &run_state.part(share, share))?;
            listed_terms::adopt(&mut heard.segments, &with_prompt.segments, prompt);
            heard.raw["with_prompt"] = with_prompt.raw;
        }
        run_state.control.report(1.0);
        Ok(heard)
    }

    /// The weights; the first call loads them.
    fn load(&self) -> Result<Arc<Model>, EngineError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*loaded {
            return Ok(Arc::clone(model));
        }
        let path = models::resolve(&self.model, &self.dir)?;
        let model = Arc::new(Model::load(&path).ok_or_else(|| {
            EngineError::Failed(format!(
                "the model file of {} cannot be loaded; type: bedel model verify {}",
                self.model, self.model
            ))
        })?);
        *loaded = Some(Arc::clone(&model));
        Ok(model)
    }

    /// An English-only model always gets `en`: it would read any other language token as a word.
    fn language<'a>(&self, model: &Model, requested: Option<&'a str>) -> Result<&'a str, EngineError> {
        match requested {
            None if model.is_multilingual() => Ok("auto"),
            None | Some("en") => Ok("en"),
            Some(language) if model.is_multilingual() && cpp::is_language(language) => Ok(language),
            Some(language) => {
                Err(EngineError::Language { model: self.model.clone(), language: language.to_owned() })
            }
        }
    }
}

/// One pass over the samples.
fn pass(
    model: &Model,
    samples: &[f32],
    language: &str,
    prompt: Option<&str>,
    run_state: &RunState,
) -> Result<RawTranscript, EngineError> {
    let mut run = model.new_run().ok_or_else(|| EngineError::Failed("not enough memory".to_owned()))?;
    let outcome = run.transcribe(samples, language, prompt, run_state);
    if run_state.is_stopped() {
        return Err(EngineError::Cancelled);
    }
    outcome.map_err(|code| EngineError::Failed(format!("whisper.cpp returned {code}")))?;
    let language = run.language().unwrap_or(language).to_owned();
    let (segments, raw) = read_segments(&run);
    Ok(RawTranscript { language, segments, gaps: Vec::new(), raw })
}

/// The segments, and whisper.cpp's answer in its own format.
fn read_segments(run: &Run<'_>) -> (Vec<RawSegment>, Value) {
    // whisper.cpp counts in hundredths of a second.
    #[expect(clippy::cast_precision_loss, reason = "at most some hours")]
    let seconds = |hundredths: i64| hundredths as f64 / 100.0;
    let segments = run.segments().map(|segment| {
        let (start, end, text) = (seconds(segment.start), seconds(segment.end), segment.text);
        let raw =
            json!({ "start": start, "end": end, "text": text, "no_speech_prob": segment.no_speech_prob });
        (RawSegment { start, end, text }, raw)
    });
    let (segments, raw): (Vec<_>, Vec<_>) = segments.unzip();
    (segments, json!({ "segments": raw }))
}

#[cfg(test)]
pub(crate) use cpp::languages;
