//! What an engine is given besides sound, for tests that have an engine and no job.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bedel_jobs::speech::{EngineError, Ledger, Passage};
use futures::future::BoxFuture;

/// A ledger in memory.
#[derive(Debug, Default)]
pub struct Book {
    /// Passages and their tasks.
    pub tasks: Mutex<Vec<(String, String)>>,
    /// How often somebody asked whether he may pay.
    pub asked: AtomicUsize,
    /// Nobody is entitled any more.
    pub is_closed: bool,
}

impl Book {
    pub fn passage<'a>(
        &'a self,
        samples: &'a Arc<Vec<f32>>,
        language: Option<&'a str>,
        scratch: &'a Path,
    ) -> Passage<'a> {
        Passage { samples, language, name: "0a1b-0", scratch, ledger: self }
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Ledger for Book {
    fn may_pay(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.is_closed { Err(EngineError::Cancelled) } else { Ok(()) }
        })
    }

    fn task(&self, passage: &str) -> Option<String> {
        let tasks = self.tasks.lock().expect("no panic");
        tasks.iter().find(|(name, _)| name == passage).map(|(_, task)| task.clone())
    }

    fn note<'a>(&'a self, passage: &'a str, task: Option<&'a str>) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let mut tasks = self.tasks.lock().expect("no panic");
            tasks.retain(|(name, _)| name != passage);
            tasks.extend(task.map(|task| (passage.to_owned(), task.to_owned())));
            Ok(())
        })
    }
}
