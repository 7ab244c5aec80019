//! Metrics of ended attempts.

use tokio::time::Instant;

/// Records an attempt once its end is written. Without an installed recorder this does nothing.
pub(crate) fn record_outcome(kind: &'static str, started: Instant, outcome: &'static str) {
    metrics::counter!("bedel_queue_attempts_total", "kind" => kind, "outcome" => outcome).increment(1);
    metrics::histogram!("bedel_queue_attempt_seconds", "kind" => kind).record(started.elapsed());
}
