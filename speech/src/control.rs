//! Progress and cancellation of a transcription.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// Follows a transcription and stops it.
#[derive(Clone)]
pub struct Control {
    cancellation: CancellationToken,
    progress: Arc<dyn Fn(f64) + Send + Sync>,
}

impl Control {
    /// Calls `progress` with fractions from 0 to 1, from any thread. It must return quickly.
    pub fn new(cancellation: CancellationToken, progress: impl Fn(f64) + Send + Sync + 'static) -> Self {
        Self { cancellation, progress: Arc::new(progress) }
    }

    /// True once the transcription must stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Returns once the transcription must stop.
    pub async fn cancelled(&self) {
        self.cancellation.cancelled().await;
    }

    /// A control for the part of the work that begins at the fraction `from` and is as large as `share`.
    #[must_use]
    pub fn part(&self, from: f64, share: f64) -> Self {
        let whole = self.clone();
        Self::new(self.cancellation.clone(), move |fraction| whole.report(from + share * fraction))
    }

    /// Reports progress, 0 to 1.
    pub fn report(&self, fraction: f64) {
        (self.progress)(fraction);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Control").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
