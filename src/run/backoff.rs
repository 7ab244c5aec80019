//! The pause before the next try.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The first pause.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses that double from 0.2 s to 5 s.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// The next pause.
    #[must_use]
    pub fn next_pause(&self) -> Duration {
        self.0
    }

    /// Pauses. False if `stop` fires first.
    pub async fn pause(&mut self, stop: &CancellationToken) -> bool {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        tokio::select! {
            () = sleep(pause) => true,
            () = stop.cancelled() => false,
        }
    }
}
