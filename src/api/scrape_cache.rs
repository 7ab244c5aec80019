//! The latest metrics of the database, kept for a few seconds.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Scrapes within this time get the same text: anybody may scrape, so the database is read once for all.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The latest text and when it was rendered.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScrapeCache(Arc<Mutex<Option<(Instant, String)>>>);

impl ScrapeCache {
    /// The cached text, or a new one from `render`. One caller renders while the others wait.
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
