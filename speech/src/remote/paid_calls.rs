//! Calls that may cost money. Each is recorded before it is made, and uncounted if it certainly cost nothing.

use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::Value;

use super::client::Server;
use super::error::RemoteError;
use crate::call_log::PaidCall;
use crate::control::Control;
use crate::coverage::{has_speech, sample};
use crate::decoded_audio::seconds;
use crate::engine::AudioChunk;
use crate::engine_error::EngineError;
use crate::payload::{self, PayloadError};
use crate::raw_transcript::RawTranscript;

/// Most calls of a job for one chunk that may have been paid for without a result.
const MAX_CALLS: u32 = 6;

/// A request to make.
pub(super) struct Call<Build> {
    /// Builds it, with the record's idempotency key.
    pub(super) build: Build,
    /// Bytes to upload.
    pub(super) uploaded: u64,
    pub(super) timeout: Duration,
}

/// Records the call, makes it, and returns the answer and the record.
pub(super) async fn make_call<Build: FnOnce(&PaidCall) -> RequestBuilder>(
    server: &Server,
    chunk: &AudioChunk<'_>,
    call: Call<Build>,
    control: &Control,
) -> Result<(Value, PaidCall), EngineError> {
    let mut paid_call = chunk.call_log.paid_call(chunk.name);
    if paid_call.calls >= MAX_CALLS {
        return Err(RemoteError::TooOften { host: server.host(), calls: paid_call.calls }.into());
    }
    paid_call.calls += 1;
    chunk.call_log.record(&paid_call).await?;
    match server.ask((call.build)(&paid_call), call.uploaded, call.timeout, control).await {
        Ok(answer) => Ok((answer, paid_call)),
        Err(EngineError::Remote(error)) => Err(record_failure(chunk, paid_call, error).await),
        Err(other) => Err(other),
    }
}

/// Reads the transcript in the answer to a call.
pub(super) async fn read_transcript(
    server: &Server,
    chunk: &AudioChunk<'_>,
    paid_call: PaidCall,
    answer: Value,
) -> Result<RawTranscript, EngineError> {
    let samples = Arc::clone(chunk.samples);
    let parse = move || {
        let has_speech_behind = |second| has_speech(&samples, sample(second));
        payload::transcript(answer, seconds(samples.len() as u64), has_speech_behind)
    };
    let parsed = tokio::task::spawn_blocking(parse).await;
    match parsed.map_err(|error| EngineError::Failed(error.to_string()))? {
        Ok(transcript) => Ok(transcript),
        Err(error) => Err(record_failure(chunk, paid_call, unusable(server, error)).await),
    }
}

fn unusable(server: &Server, error: PayloadError) -> RemoteError {
    let (host, time) =
        (server.host(), |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    match error {
        PayloadError::NoTranscript(answer) => server.without_transcript(&answer),
        PayloadError::HeardLess { sent, heard } => {
            RemoteError::HeardLess { host, sent: time(sent), heard: time(heard) }
        }
        PayloadError::BehindEnd { sent, last } => {
            RemoteError::BehindEnd { host, sent: time(sent), last: time(last) }
        }
    }
}

/// Records what the error of a call means for the next one.
pub(super) async fn record_failure(
    chunk: &AudioChunk<'_>,
    mut paid_call: PaidCall,
    error: RemoteError,
) -> EngineError {
    if error.is_free() {
        paid_call.calls = paid_call.calls.saturating_sub(1);
    } else if error.is_final() {
        // A new idempotency key: for the old one, the server would repeat its answer.
        paid_call.failures += 1;
        paid_call.task = None;
    } else {
        return match error {
            RemoteError::BrokeOff { host, reason, .. } => {
                RemoteError::BrokeOff { host, reason, calls: paid_call.calls }.into()
            }
            other => other.into(),
        };
    }
    match chunk.call_log.record(&paid_call).await {
        Ok(()) => error.into(),
        Err(log_error) => log_error,
    }
}
