//! Address, key and limits of a speech server.

use std::time::Duration;

use bedel_media::sound::{SAMPLE_RATE, SPEECH_BITS};
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use url::Url;

use crate::pieces;

/// Bytes of an upload besides the recording, at most.
pub(super) const FORM_BYTES: u64 = 64 * 1024;

/// Shortest chunk length that is sent, in seconds. Below a few minutes the seams cost words.
const MIN_CHUNK_SECONDS: u64 = 60;

/// Least value of [`RemoteSettings::max_upload_bytes`]: an encoded minute, with room to spare.
pub const MIN_UPLOAD_BYTES: u64 = 1024 * 1024;

/// Default of [`RemoteSettings::unknown_state`].
pub const UNKNOWN_STATE_TIMEOUT: Duration = Duration::from_secs(600);

/// Address and limits of a speech server.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// The base address of its paths.
    pub url: Url,
    /// The key that it asks for.
    pub key: Option<ApiKey>,
    /// The model to request. For a server with one model, its name in transcripts.
    pub model: String,
    /// The language spoken, unless the caller of a transcription says; `None` lets the server detect it.
    pub language: Option<String>,
    /// Largest upload it takes, in bytes. At least [`MIN_UPLOAD_BYTES`].
    pub max_upload_bytes: u64,
    /// Seconds a call may take for each second of sound, on top of `grace`.
    pub patience: f64,
    /// Time that every call may take.
    pub grace: Duration,
    /// Pause between two polls of a task.
    pub poll: Duration,
    /// How long a task may report the same unknown state, or none.
    pub unknown_state: Duration,
    /// Certificates (PEM) of authorities trusted besides the system's.
    pub extra_ca: Option<Vec<u8>>,
}

impl RemoteSettings {
    /// How long a call about this many samples may take.
    #[expect(clippy::cast_precision_loss, reason = "at most some hours of samples")]
    pub(super) fn call_timeout(&self, samples: usize) -> Duration {
        self.grace + Duration::from_secs_f64(samples as f64 / f64::from(SAMPLE_RATE) * self.patience)
    }

    /// Most samples of a chunk that can be encoded to fit into an upload. Leaves a quarter to spare, because
    /// encoders keep their rate only on average.
    pub(super) fn max_samples(&self) -> u64 {
        let seconds = self.max_upload_bytes.saturating_sub(FORM_BYTES) * 8 * 3 / (SPEECH_BITS * 4);
        (seconds.max(MIN_CHUNK_SECONDS) * u64::from(SAMPLE_RATE)).min(pieces::MAX_PIECE_SAMPLES)
    }
}

/// A server's key. `Debug` hides it.
#[derive(Debug, Clone)]
pub struct ApiKey(pub(super) HeaderValue);

impl ApiKey {
    /// A key, sent in the header `Authorization: Bearer`.
    ///
    /// # Errors
    /// If it has characters that a header cannot carry. The error does not show them.
    pub fn new(key: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// `text` with the key masked: some servers repeat it.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        let key = self.0.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        key.filter(|key| !key.is_empty()).map_or_else(|| text.to_owned(), |key| text.replace(key, "…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RemoteSettings {
        RemoteSettings {
            url: Url::parse("http://127.0.0.1:9/").unwrap(),
            key: None,
            model: "m".to_owned(),
            language: None,
            max_upload_bytes: 25_000_000,
            patience: 2.0,
            grace: Duration::from_secs(120),
            poll: Duration::from_secs(5),
            unknown_state: UNKNOWN_STATE_TIMEOUT,
            extra_ca: None,
        }
    }

    #[test]
    fn chunks_are_as_long_as_an_upload_allows() {
        let longest = |max_upload_bytes| RemoteSettings { max_upload_bytes, ..settings() }.max_samples();
        let seconds = |bytes| longest(bytes) / u64::from(SAMPLE_RATE);
        assert_eq!(longest(25_000_000), pieces::MAX_PIECE_SAMPLES);
        assert_eq!((seconds(MIN_UPLOAD_BYTES), seconds(0)), (122, MIN_CHUNK_SECONDS));
    }

    #[test]
    fn the_timeout_grows_with_the_sound() {
        assert_eq!(settings().call_timeout(600 * 16_000), Duration::from_secs(120 + 1200));
    }

    #[test]
    fn the_key_is_never_shown() {
        let key = ApiKey::new(" hunter2 ").unwrap();
        let shown = format!("{:?}", RemoteSettings { key: Some(key.clone()), ..settings() });
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(key.hidden_in("Incorrect key: hunter2."), "Incorrect key: ….");
        assert!(!format!("{:?}", ApiKey::new("hunter2\n3").unwrap_err()).contains("hunter2"));
    }
}
