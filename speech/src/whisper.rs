//! Whisper in this process (whisper.cpp).
//!
//! The first transcription loads the weights, and all share them; each has its own state. Each uses one
//! thread, because whisper.cpp's threads spin while they wait for each other: two on two busy cores took four
//! to six times as long as one (measured). Run as many jobs as there are cores instead.
//!
//! Cancelling ends the future at once. Its thread ends when whisper.cpp next checks the abort callback: after
//! every token, but only once per pass of the encoder over 30 seconds of sound, and never in the spectrogram
//! at the beginning. That takes seconds on a free core, longer on a busy one.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState, WhisperSysContext,
    WhisperSysState,
};

use super::control::Control;
use super::engine::{AudioChunk, Engine, EngineInfo};
use super::engine_error::EngineError;
use super::models;
use super::raw_transcript::{RawSegment, RawTranscript};

/// Most amplitude of digital silence (-80 dB). Whisper tends to invent words there.
const SILENCE: f32 = 1e-4;

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
    context: Mutex<Option<Arc<WhisperContext>>>,
    /// The model's sha256, once computed.
    sha256: Mutex<Option<String>>,
}

impl Whisper {
    /// An engine for a model: its name in the store `dir`, or its path. `language` applies unless the caller
    /// of a transcription names one; `None` lets a multilingual model detect it. Reads nothing before the
    /// first transcription.
    pub fn new(model: impl Into<String>, dir: impl Into<PathBuf>, language: Option<String>) -> Self {
        let (model, dir) = (model.into(), dir.into());
        let (context, sha256) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { model, dir, language, context, sha256 }) }
    }
}

impl Engine for Whisper {
    fn describe(&self) -> EngineInfo {
        let model = &self.inner.model;
        let name = models::name_of(Path::new(model)).unwrap_or_else(|| model.clone());
        EngineInfo { engine: "whisper.cpp".into(), model: name }
    }

    /// Another model is loaded separately, and unloaded with the returned engine.
    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
        if self.inner.model == model {
            return Some(Arc::new(self.clone()));
        }
        Some(Arc::new(Self::new(model, &self.inner.dir, self.inner.language.clone())))
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
            let abort = Arc::new(AbortState { control: control.clone(), dropped: AtomicBool::new(false) });
            let _stop = StopOnDrop(Arc::clone(&abort));
            let inner = Arc::clone(&self.inner);
            let work =
                tokio::task::spawn_blocking(move || inner.transcribe(&samples, language.as_deref(), &abort));
            tokio::select! {
                biased;
                done = work => done.map_err(|error| EngineError::Failed(error.to_string()))?,
                () = control.cancelled() => Err(EngineError::Cancelled),
            }
        })
    }
}

/// State shared with the two callbacks.
struct AbortState {
    control: Control,
    dropped: AtomicBool,
}

impl AbortState {
    fn is_stopped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed) || self.control.is_cancelled()
    }
}

/// Stops the blocking work, which outlives the future that started it.
struct StopOnDrop(Arc<AbortState>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    fn transcribe(
        &self,
        samples: &[f32],
        language: Option<&str>,
        abort: &AbortState,
    ) -> Result<RawTranscript, EngineError> {
        if abort.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        let context = self.context()?;
        let language = self.language(&context, language.or(self.language.as_deref()))?;
        if samples.iter().all(|sample| sample.abs() < SILENCE) {
            let language = if language == "auto" { "en" } else { language };
            return Ok(RawTranscript {
                language: language.to_owned(),
                segments: Vec::new(),
                gaps: Vec::new(),
                raw: Value::Null,
            });
        }
        if abort.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        let mut state = context.create_state().map_err(failed)?;
        let outcome = state.full(parameters(language, abort), samples);
        if abort.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        outcome.map_err(failed)?;
        abort.control.report(1.0);
        let spoken = whisper_rs::get_lang_str(state.full_lang_id_from_state()).unwrap_or(language);
        let (segments, raw) = read_segments(&state);
        Ok(RawTranscript { language: spoken.to_owned(), segments, gaps: Vec::new(), raw })
    }

    /// The weights; the first call loads them.
    fn context(&self) -> Result<Arc<WhisperContext>, EngineError> {
        let mut context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*context {
            return Ok(Arc::clone(loaded));
        }
        // With no logging backend set, this keeps whisper.cpp from writing to standard error.
        whisper_rs::install_logging_hooks();
        let path = models::resolve(&self.model, &self.dir)?;
        // Flash attention stays off: on a CPU it is a fifth slower in this version of whisper.cpp (measured).
        let loaded = WhisperContext::new_with_params(&path, WhisperContextParameters::default());
        let loaded = Arc::new(loaded.map_err(|_| {
            EngineError::Failed(format!(
                "the model file of {} cannot be loaded; type: bedel model verify {}",
                self.model, self.model
            ))
        })?);
        *context = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// An English-only model always gets `en`: it would read any other language token as a word.
    fn language<'a>(
        &self,
        context: &WhisperContext,
        requested: Option<&'a str>,
    ) -> Result<&'a str, EngineError> {
        let known = |language: &str| {
            language.bytes().all(|byte| byte.is_ascii_lowercase())
                && whisper_rs::get_lang_id(language).is_some()
        };
        match requested {
            None if context.is_multilingual() => Ok("auto"),
            None | Some("en") => Ok("en"),
            Some(language) if context.is_multilingual() && known(language) => Ok(language),
            Some(language) => {
                Err(EngineError::Language { model: self.model.clone(), language: language.to_owned() })
            }
        }
    }
}

fn failed(error: whisper_rs::WhisperError) -> EngineError {
    EngineError::Failed(error.to_string())
}

fn parameters<'a>(language: &'a str, abort: &AbortState) -> FullParams<'a, 'static> {
    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    parameters.set_n_threads(1);
    parameters.set_language(Some(language));
    parameters.set_print_progress(false);
    parameters.set_print_realtime(false);
    parameters.set_print_timestamps(false);
    parameters.set_print_special(false);
    let data = std::ptr::from_ref(abort).cast_mut().cast::<c_void>();
    // whisper-rs has safe setters too, but its abort setter passes the callback a pointer of another type.
    // SAFETY: both callbacks take `data` for a shared reference to `AbortState`, which it is, and which
    // outlives the one call that uses these parameters. Neither touches the context or the state.
    unsafe {
        parameters.set_abort_callback(Some(on_abort_check));
        parameters.set_abort_callback_user_data(data);
        parameters.set_progress_callback(Some(on_progress));
        parameters.set_progress_callback_user_data(data);
    }
    parameters
}

unsafe extern "C" fn on_abort_check(data: *mut c_void) -> bool {
    // SAFETY: `parameters` passed an `AbortState` that outlives the call.
    let abort = unsafe { &*data.cast_const().cast::<AbortState>() };
    abort.is_stopped()
}

unsafe extern "C" fn on_progress(
    _: *mut WhisperSysContext,
    _: *mut WhisperSysState,
    percent: c_int,
    data: *mut c_void,
) {
    // SAFETY: as above.
    let abort = unsafe { &*data.cast_const().cast::<AbortState>() };
    // A panic must not unwind through C.
    let reported = catch_unwind(AssertUnwindSafe(|| abort.control.report(f64::from(percent) / 100.0)));
    if reported.is_err() {
        tracing::error!("the progress callback of a transcription panicked");
    }
}

/// The segments, and whisper.cpp's answer in its own format.
fn read_segments(state: &WhisperState) -> (Vec<RawSegment>, Value) {
    // whisper.cpp counts in hundredths of a second.
    #[expect(clippy::cast_precision_loss, reason = "at most some hours")]
    let seconds = |hundredths: i64| hundredths as f64 / 100.0;
    let segments = state.as_iter().filter_map(|segment| {
        // Lossy: a character may be cut in two between segments.
        let text = segment.to_str_lossy().ok()?.into_owned();
        let (start, end) = (seconds(segment.start_timestamp()), seconds(segment.end_timestamp()));
        let raw = json!({
            "start": start, "end": end, "text": text, "no_speech_prob": segment.no_speech_probability(),
        });
        Some((RawSegment { start, end, text }, raw))
    });
    let (segments, raw): (Vec<_>, Vec<_>) = segments.unzip();
    (segments, json!({ "segments": raw }))
}
