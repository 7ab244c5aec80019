//! A call log for tests that have an engine and no job.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bedel_speech::{EngineError, Ledger, Order, Passage};
use futures::future::BoxFuture;

/// A ledger in memory.
#[derive(Debug, Default)]
pub struct Book {
    /// Entries in order.
    pub entered: Mutex<Vec<Order>>,
    /// The lease is lost.
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

    /// The last entry.
    pub fn last(&self) -> Order {
        self.order("0a1b-0")
    }

    /// Calls entered, including those removed again.
    pub fn calls(&self) -> usize {
        let entered = self.entered.lock().expect("no panic");
        let before = std::iter::once(0).chain(entered.iter().map(|order| order.calls));
        before.zip(entered.iter()).filter(|(before, order)| order.calls > *before).count()
    }
}

impl Ledger for Book {
    fn order(&self, passage: &str) -> Order {
        let entered = self.entered.lock().expect("no panic");
        let last = entered.last().filter(|order| order.passage == passage).cloned();
        last.unwrap_or_else(|| Order { passage: passage.to_owned(), ..Order::default() })
    }

    fn enter<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async {
            if self.is_closed {
                return Err(EngineError::Cancelled);
            }
            self.entered.lock().expect("no panic").push(order.clone());
            Ok(())
        })
    }
}
