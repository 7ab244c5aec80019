//! The latest metrics of the database, kept for a few seconds.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A scrape within this time gets the same text: anybody may scrape, and the database is asked once for all.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The latest text and its time.
#[derive(Debug, Clone, Default)]
pub(super) struct ScrapeCache(Arc<Mutex<Option<(Instant, String)>>>);

impl ScrapeCache {
    /// The cached text, or `render`'s where it is stale. One caller renders, the others wait for it.
    pub(super) async fn get_or_render(&self, render: impl Future<Output = String>) -> String {
        let mut cached = self.0.lock().await;
        if let Some((_, text)) = cached.as_ref().filter(|(at, _)| at.elapsed() < FRESH_FOR) {
            return text.clone();
        }
        let text = render.await;
        cached.replace((Instant::now(), text.clone()));
        text
    }
}
