//! Speech engines that are servers somewhere else.
//!
//! The address is the operator's and may be in a private network, so it is not held to the rules of `fetch`; but it is never left
//! for another one: redirects are not followed, and no proxy of the environment is used. What comes from there is as hostile as
//! anything from outside.
//!
//! A call is made once in an attempt. Whether it is made again, when, and at whose expense, says the error's [`JobError`]: until
//! then the pieces before it are kept, and the worker's slot is free. `paid_calls` keeps count of those that may have been paid.
//!
//! [`JobError`]: bedel_queue::JobError

mod client;
mod error;
mod openai;
mod paid_calls;
mod task;
mod upload;

use std::time::Duration;

use bedel_media::sound::{SAMPLE_RATE, SPEECH_BITS};
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use url::Url;

use super::pieces;

pub use client::ClientError;
pub use error::RemoteError;
pub use openai::OpenAi;
pub use task::Task;

/// Bytes of an upload that are not the recording.
const AROUND: u64 = 64 * 1024;

/// Shortest chunk that is sent, in seconds: below a few minutes the seams cost words.
const SHORTEST_SECONDS: u64 = 60;

/// Least of [`RemoteSettings::max_upload_bytes`]: an encoded minute, with room to spare.
pub const LEAST_UPLOAD_BYTES: u64 = 1024 * 1024;

/// Where a speech server is, and what it takes.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// The address below which its paths are.
    pub url: Url,
    /// What it lets us in by.
    pub key: Option<ApiKey>,
    /// The model asked for, or where the server has only one, what it is called in transcripts.
    pub model: String,
    /// The language spoken where the caller of a transcription does not say; `None` lets the server find out.
    pub language: Option<String>,
    /// Largest upload it takes, in bytes. At least [`LEAST_UPLOAD_BYTES`].
    pub max_upload_bytes: u64,
    /// Seconds that a second of sound may take, on top of `grace` for each call.
    pub patience: f64,
    /// See `patience`.
    pub grace: Duration,
    /// How long until a task is asked for again.
    pub poll: Duration,
    /// Certificates (PEM) of authorities that are trusted besides the system's.
    pub extra_ca: Option<Vec<u8>>,
}

impl RemoteSettings {
    /// How long a call about so many samples may take.
    #[expect(clippy::cast_precision_loss, reason = "at most some hours of samples")]
    fn time_for(&self, samples: usize) -> Duration {
        self.grace + Duration::from_secs_f64(samples as f64 / f64::from(SAMPLE_RATE) * self.patience)
    }

    /// Most samples of a chunk, so that it can be encoded to fit into an upload. Encoders keep to their rate on the whole only, so
    /// a quarter is to spare.
    fn max_samples(&self) -> u64 {
        let seconds = self.max_upload_bytes.saturating_sub(AROUND) * 8 * 3 / (SPEECH_BITS * 4);
        (seconds.max(SHORTEST_SECONDS) * u64::from(SAMPLE_RATE)).min(pieces::MAX_PIECE_SAMPLES)
    }
}

/// A server's key. Never shown.
#[derive(Debug, Clone)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// A key as it is sent in the header `Authorization: Bearer`.
    ///
    /// # Errors
    /// Where it has characters that cannot be in a header. The error does not show them.
    pub fn new(key: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// `text` without the key in it: some servers repeat it.
    fn hidden_in(&self, text: &str) -> String {
        let key = self.0.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        key.filter(|key| !key.is_empty()).map_or_else(|| text.to_owned(), |key| text.replace(key, "…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings() -> RemoteSettings {
        RemoteSettings {
            url: Url::parse("http://127.0.0.1:9/").unwrap(),
            key: None,
            model: "m".to_owned(),
            language: None,
            max_upload_bytes: 25_000_000,
            patience: 2.0,
            grace: Duration::from_secs(120),
            poll: Duration::from_secs(5),
            extra_ca: None,
        }
    }

    #[test]
    fn passages_are_as_long_as_an_upload_may_be() {
        let longest = |max_upload_bytes| RemoteSettings { max_upload_bytes, ..settings() }.max_samples();
        let seconds = |bytes| longest(bytes) / u64::from(SAMPLE_RATE);
        assert_eq!(longest(25_000_000), pieces::MAX_PIECE_SAMPLES);
        assert_eq!((seconds(LEAST_UPLOAD_BYTES), seconds(0)), (122, SHORTEST_SECONDS));
    }

    #[test]
    fn a_call_may_take_longer_the_more_there_is() {
        assert_eq!(settings().time_for(600 * 16_000), Duration::from_secs(120 + 1200));
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = ApiKey::new(" hunter2 ").unwrap();
        let shown = format!("{:?}", RemoteSettings { key: Some(key.clone()), ..settings() });
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(key.hidden_in("Incorrect key: hunter2."), "Incorrect key: ….");
        assert!(!format!("{:?}", ApiKey::new("hunter2\n3").unwrap_err()).contains("hunter2"));
    }
}
