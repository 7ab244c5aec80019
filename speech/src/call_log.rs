//! A durable record of calls to speech servers, so that a retry after a crash does not pay twice.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::engine_error::EngineError;

/// The calls made for one chunk of sound that may cost money.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidCall {
    /// [`AudioChunk::name`](crate::AudioChunk::name).
    #[serde(rename = "passage")]
    pub chunk: String,
    /// Calls that may have been paid for.
    pub calls: u32,
    /// Calls that certainly failed. Each makes the next call ask for something new.
    pub failures: u32,
    /// The id of the task in flight, if the server gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

impl PaidCall {
    /// The same for all calls that ask for the same thing. A server that honours it does the work once.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}-{}", self.chunk, self.failures)
    }
}

/// Stores [`PaidCall`]s.
pub trait CallLog: Send + Sync {
    /// The last record of a chunk, also from an earlier attempt; an empty one if there is none.
    fn paid_call(&self, chunk: &str) -> PaidCall;

    /// Stores the record. Once this returns, it survives a crash of this process. Fails if the job no longer
    /// belongs to this attempt, and waits while that is unknown.
    fn record<'a>(&'a self, call: &'a PaidCall) -> BoxFuture<'a, Result<(), EngineError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_records_keep_their_field_names() {
        let stored = r#"{"passage":"0a1b-0","calls":2,"failures":1,"task":"t"}"#;
        let call: PaidCall = serde_json::from_str(stored).unwrap();
        assert_eq!((call.chunk.as_str(), call.idempotency_key().as_str()), ("0a1b-0", "0a1b-0-1"));
        assert_eq!(serde_json::to_string(&call).unwrap(), stored);
    }
}
