//! A call log for tests that have an engine and no job.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bedel_speech::{AudioChunk, CallLog, EngineError, PaidCall};
use futures::future::BoxFuture;

/// A call log in memory.
#[derive(Debug, Default)]
pub struct MemoryCallLog {
    /// Entries in order.
    pub entered: Mutex<Vec<PaidCall>>,
    /// The lease is lost.
    pub is_closed: bool,
}

impl MemoryCallLog {
    pub fn chunk<'a>(
        &'a self,
        samples: &'a Arc<Vec<f32>>,
        language: Option<&'a str>,
        scratch: &'a Path,
    ) -> AudioChunk<'a> {
        AudioChunk { samples, language, prompt: None, name: "0a1b-0", scratch, call_log: self }
    }

    /// The last entry.
    pub fn last(&self) -> PaidCall {
        self.paid_call("0a1b-0")
    }

    /// Calls entered, including those removed again.
    pub fn calls(&self) -> usize {
        let entered = self.entered.lock().expect("no panic");
        let before = std::iter::once(0).chain(entered.iter().map(|order| order.calls));
        before.zip(entered.iter()).filter(|(before, order)| order.calls > *before).count()
    }
}

impl CallLog for MemoryCallLog {
    fn paid_call(&self, chunk: &str) -> PaidCall {
        let entered = self.entered.lock().expect("no panic");
        let last = entered.last().filter(|order| order.chunk == chunk).cloned();
        last.unwrap_or_else(|| PaidCall { chunk: chunk.to_owned(), ..PaidCall::default() })
    }

    fn record<'a>(&'a self, order: &'a PaidCall) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async {
            if self.is_closed {
                return Err(EngineError::Cancelled);
            }
            self.entered.lock().expect("no panic").push(order.clone());
            Ok(())
        })
    }
}
