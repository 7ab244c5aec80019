//! Calls that may have to be paid: entered before they are made, and struck out where they certainly cost nothing.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::Value;

use super::RemoteError;
use super::client::Server;
use crate::decoded_audio::seconds;
use crate::engine::{AudioChunk, Control, EngineError, PaidCall, RawTranscript};
use crate::payload;

/// Most calls of a job for one chunk that may have been paid and brought nothing.
const MOST_CALLS: u32 = 6;

/// What is sent: made of the order, with so many bytes to upload, answered within a time.
pub(super) struct Call<Make> {
    pub(super) make: Make,
    pub(super) uploaded: u64,
    pub(super) time: Duration,
}

/// Calls, and gives the answer and the order that it answers.
pub(super) async fn make_call<Make: FnOnce(&PaidCall) -> RequestBuilder>(
    server: &Server,
    chunk: &AudioChunk<'_>,
    call: Call<Make>,
    control: &Control,
) -> Result<(Value, PaidCall), EngineError> {
    let mut order = chunk.call_log.paid_call(chunk.name);
    if order.calls >= MOST_CALLS {
        return Err(RemoteError::TooOften { host: server.host(), calls: order.calls }.into());
    }
    order.calls += 1;
    chunk.call_log.record(&order).await?;
    match server.ask((call.make)(&order), call.uploaded, call.time, control).await {
        Ok(answer) => Ok((answer, order)),
        Err(EngineError::Remote(error)) => Err(record_failure(chunk, order, error).await),
        Err(other) => Err(other),
    }
}

/// The transcript in the answer to an order.
pub(super) async fn read_transcript(
    server: &Server,
    chunk: &AudioChunk<'_>,
    order: PaidCall,
    answer: Value,
) -> Result<RawTranscript, EngineError> {
    match payload::transcript(answer, seconds(chunk.samples.len() as u64)) {
        Ok(transcript) => Ok(transcript),
        Err(answer) => Err(record_failure(chunk, order, server.without_transcript(&answer)).await),
    }
}

/// An order of which nothing came, for this reason. What follows from it is entered.
pub(super) async fn record_failure(
    chunk: &AudioChunk<'_>,
    mut order: PaidCall,
    error: RemoteError,
) -> EngineError {
    if error.is_unpaid() {
        order.calls = order.calls.saturating_sub(1);
    } else if error.is_final() {
        // Asked for the same again, a server that knows what it answered would say the same.
        order.failures += 1;
        order.task = None;
    } else {
        return match error {
            RemoteError::BrokeOff { host, reason, .. } => {
                RemoteError::BrokeOff { host, reason, calls: order.calls }.into()
            }
            other => other.into(),
        };
    }
    match chunk.call_log.record(&order).await {
        Ok(()) => error.into(),
        Err(lost) => lost,
    }
}
