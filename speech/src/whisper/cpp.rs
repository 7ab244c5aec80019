//! The part of whisper.cpp's C interface that the engine needs.
//!
//! The crate whisper-rs wraps the same interface without `carry_initial_prompt`. Its prompt fades after the
//! first minute of a piece.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use whisper_rs_sys as sys;

use crate::control::Control;

/// Tokens of the text before a window that it gets beside a prompt. With more, `tiny.en` repeats that text: its errors
/// in five minutes of speech rose from 33 to 60 with a prompt of 15 tokens (measured).
const PREVIOUS_TEXT_TOKENS: c_int = 16;

/// Length of a prompt, as if it had been spoken, in marks of time: 26 seconds in steps of 20 milliseconds.
const PROMPT_MARKS: c_int = 1300;

/// State shared with the two callbacks of a run.
pub(super) struct RunState {
    pub(super) control: Control,
    /// The caller's future was dropped.
    pub(super) dropped: Arc<AtomicBool>,
}

impl RunState {
    /// The state of a pass that begins at the fraction `from` of the work and is as large as `share`.
    pub(super) fn part(&self, from: f64, share: f64) -> Self {
        Self { control: self.control.part(from, share), dropped: Arc::clone(&self.dropped) }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed) || self.control.is_cancelled()
    }
}

/// A loaded model.
#[derive(Debug)]
pub(super) struct Model(NonNull<sys::whisper_context>);

// SAFETY: after loading, whisper.cpp only reads a context. Everything that changes is in a state.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    /// Loads a file. `None` if whisper.cpp cannot read it.
    pub(super) fn load(path: &Path) -> Option<Self> {
        static SILENCED: Once = Once::new();
        // SAFETY: the callback touches none of its arguments.
        SILENCED.call_once(|| unsafe { sys::whisper_log_set(Some(on_log), null_mut()) });
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        // SAFETY: it has no arguments and returns plain data.
        let mut parameters = unsafe { sys::whisper_context_default_params() };
        parameters.use_gpu = false;
        // On a CPU, flash attention is a fifth slower in this version of whisper.cpp (measured).
        parameters.flash_attn = false;
        // SAFETY: `path` is a C string that outlives the call.
        let context = unsafe { sys::whisper_init_from_file_with_params_no_state(path.as_ptr(), parameters) };
        NonNull::new(context).map(Self)
    }

    pub(super) fn is_multilingual(&self) -> bool {
        // SAFETY: the context is loaded.
        unsafe { sys::whisper_is_multilingual(self.0.as_ptr()) != 0 }
    }

    /// Number of tokens of a text; `usize::MAX` for one with a NUL character.
    pub(super) fn count_tokens(&self, text: &str) -> usize {
        let Ok(text) = CString::new(text) else { return usize::MAX };
        // SAFETY: the context is loaded, and `text` is a C string that outlives the call.
        let count = unsafe { sys::whisper_token_count(self.0.as_ptr(), text.as_ptr()) };
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// The tokens of a prompt, between marks of time as in text that the model wrote itself. Without the marks it
    /// writes none either: a window becomes one segment, and words at its end are lost.
    fn prompt_tokens(&self, prompt: &str) -> Vec<sys::whisper_token> {
        // Words inside a text begin with a blank.
        let Ok(text) = CString::new(format!(" {}", prompt.trim())) else { return Vec::new() };
        // SAFETY: the context is loaded.
        let first_mark = unsafe { sys::whisper_token_beg(self.0.as_ptr()) };
        let mut tokens = vec![0; text.as_bytes().len()];
        let room = c_int::try_from(tokens.len()).unwrap_or(c_int::MAX);
        // SAFETY: as above; `text` is a C string, and `tokens` has room for `room` tokens. No text has more tokens
        // than bytes.
        let count =
            unsafe { sys::whisper_tokenize(self.0.as_ptr(), text.as_ptr(), tokens.as_mut_ptr(), room) };
        tokens.truncate(usize::try_from(count).unwrap_or_default());
        let last_mark = first_mark + PROMPT_MARKS;
        [&[first_mark], tokens.as_slice(), &[last_mark, last_mark]].concat()
    }

    /// Memory for one run. `None` if there is not enough.
    pub(super) fn new_run(&self) -> Option<Run<'_>> {
        // SAFETY: the context is loaded.
        let state = unsafe { sys::whisper_init_state(self.0.as_ptr()) };
        Some(Run { model: self, state: NonNull::new(state)? })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: nothing else refers to the context: a run borrows its model.
        unsafe { sys::whisper_free(self.0.as_ptr()) }
    }
}

/// One run of a model.
pub(super) struct Run<'a> {
    model: &'a Model,
    state: NonNull<sys::whisper_state>,
}

/// A segment of a run's result.
pub(super) struct Segment {
    /// In hundredths of a second.
    pub(super) start: i64,
    /// In hundredths of a second.
    pub(super) end: i64,
    pub(super) text: String,
    /// How sure the model is that nothing is said, 0 to 1.
    pub(super) no_speech_prob: f32,
}

impl Run<'_> {
    /// Transcribes the samples on this thread. Every window of 30 seconds gets the prompt. `language` is a
    /// code, or `auto`.
    ///
    /// # Errors
    /// whisper.cpp's number of the error, also after a stop.
    pub(super) fn transcribe(
        &mut self,
        samples: &[f32],
        language: &str,
        prompt: Option<&str>,
        run_state: &RunState,
    ) -> Result<(), c_int> {
        let length = c_int::try_from(samples.len()).map_err(|_| c_int::MIN)?;
        let language = CString::new(language).map_err(|_| c_int::MIN)?;
        let prompt = prompt.map(|prompt| self.model.prompt_tokens(prompt)).unwrap_or_default();
        // SAFETY: it takes and returns plain data.
        let mut parameters = unsafe {
            sys::whisper_full_default_params(sys::whisper_sampling_strategy_WHISPER_SAMPLING_GREEDY)
        };
        parameters.greedy.best_of = 1;
        parameters.n_threads = 1;
        parameters.language = language.as_ptr();
        parameters.print_progress = false;
        parameters.print_timestamps = false;
        if !prompt.is_empty() {
            parameters.prompt_tokens = prompt.as_ptr();
            parameters.prompt_n_tokens = c_int::try_from(prompt.len()).map_err(|_| c_int::MIN)?;
            parameters.carry_initial_prompt = true;
            parameters.n_max_text_ctx = parameters.prompt_n_tokens.saturating_add(PREVIOUS_TEXT_TOKENS);
        }
        let data = std::ptr::from_ref(run_state).cast_mut().cast::<c_void>();
        parameters.abort_callback = Some(on_abort_check);
        parameters.abort_callback_user_data = data;
        parameters.progress_callback = Some(on_progress);
        parameters.progress_callback_user_data = data;
        // SAFETY: context and state are alive, and `&mut self` keeps other runs from this state. The samples,
        // the language, the prompt and `run_state` outlive the call, after which whisper.cpp uses none of them. The
        // callbacks take `data` for a shared reference to a `RunState`, which it is.
        let outcome = unsafe {
            sys::whisper_full_with_state(
                self.model.0.as_ptr(),
                self.state.as_ptr(),
                parameters,
                samples.as_ptr(),
                length,
            )
        };
        if outcome == 0 { Ok(()) } else { Err(outcome) }
    }

    /// The code of the language of the last run.
    pub(super) fn language(&self) -> Option<&'static str> {
        // SAFETY: the state is alive.
        language_code(unsafe { sys::whisper_full_lang_id_from_state(self.state.as_ptr()) })
    }

    /// The segments of the last run.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> {
        let state = self.state.as_ptr();
        // SAFETY: the state is alive.
        let count = unsafe { sys::whisper_full_n_segments_from_state(state) };
        (0..count).filter_map(move |index| {
            // SAFETY: the state is alive, since the iterator borrows it, and has more than `index` segments.
            let (start, end, no_speech_prob, text) = unsafe {
                (
                    sys::whisper_full_get_segment_t0_from_state(state, index),
                    sys::whisper_full_get_segment_t1_from_state(state, index),
                    sys::whisper_full_get_segment_no_speech_prob_from_state(state, index),
                    sys::whisper_full_get_segment_text_from_state(state, index),
                )
            };
            // Lossy: a character may be cut in two between segments.
            let text = text_of(text)?.to_string_lossy().into_owned();
            Some(Segment { start, end, text, no_speech_prob })
        })
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing else refers to the state.
        unsafe { sys::whisper_free_state(self.state.as_ptr()) }
    }
}

/// True for the code of a language of Whisper's.
pub(super) fn is_language(code: &str) -> bool {
    let is_code = code.bytes().all(|byte| byte.is_ascii_lowercase());
    // SAFETY: the argument is a C string that outlives the call.
    is_code && CString::new(code).is_ok_and(|code| unsafe { sys::whisper_lang_id(code.as_ptr()) } >= 0)
}

fn language_code(id: c_int) -> Option<&'static str> {
    // SAFETY: whisper.cpp returns null for an unknown id.
    text_of(unsafe { sys::whisper_lang_str(id) })?.to_str().ok()
}

/// English names and codes of Whisper's languages.
#[cfg(test)]
pub(crate) fn languages() -> Vec<(&'static str, &'static str)> {
    // SAFETY: it has no arguments.
    let last = unsafe { sys::whisper_lang_max_id() };
    let pair = |id| {
        // SAFETY: whisper.cpp returns null for an unknown id.
        let name = text_of(unsafe { sys::whisper_lang_str_full(id) })?.to_str().ok()?;
        Some((name, language_code(id)?))
    };
    (0..=last).filter_map(pair).collect()
}

/// A text of whisper.cpp's. `None` for null. The caller chooses a lifetime that the text has.
fn text_of<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: every caller passes null or a C string that lives as long as its result is used.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Keeps whisper.cpp from writing to standard error.
unsafe extern "C" fn on_log(_: sys::ggml_log_level, _: *const c_char, _: *mut c_void) {}

unsafe extern "C" fn on_abort_check(data: *mut c_void) -> bool {
    // SAFETY: `Run::transcribe` passed a `RunState` that outlives the call.
    let run_state = unsafe { &*data.cast_const().cast::<RunState>() };
    run_state.is_stopped()
}

unsafe extern "C" fn on_progress(
    _: *mut sys::whisper_context,
    _: *mut sys::whisper_state,
    percent: c_int,
    data: *mut c_void,
) {
    // SAFETY: as above.
    let run_state = unsafe { &*data.cast_const().cast::<RunState>() };
    // A panic must not unwind through C.
    let reported = catch_unwind(AssertUnwindSafe(|| run_state.control.report(f64::from(percent) / 100.0)));
    if reported.is_err() {
        tracing::error!("the progress callback of a transcription panicked");
    }
}
