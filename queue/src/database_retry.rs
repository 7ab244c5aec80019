//! Retries while the database is away.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Decision, JobError};

/// Pause between two tries while the database is away.
pub(crate) const DATABASE_RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Longest wait for one batch of ends. A connection whose peer vanished must not hold attempts for ever: the heartbeat
/// keeps them alive.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Retries of a step that timed out on a lock or on itself: it may block itself.
const BUSY_RETRIES: u32 = 5;

/// Repeats `step` while the database is away. A step that may have itself to blame is repeated a few times, for up to
/// `patience`; then its error is the attempt's.
pub(crate) async fn retry_while_away<T, Step, Outcome>(
    cancellation: &CancellationToken,
    patience: Duration,
    step: Step,
) -> Result<T, JobError>
where
    Step: Fn() -> Outcome + Send,
    Outcome: Future<Output = Result<T, JobError>> + Send,
{
    let mut busy = 0;
    let mut busy_for = Duration::ZERO;
    loop {
        let begun = Instant::now();
        match step().await {
            Err(error) if error.decision == Decision::Busy => {
                busy += 1;
                busy_for += begun.elapsed();
                if busy > BUSY_RETRIES || busy_for >= patience {
                    tracing::warn!(%error, "a step keeps timing out; the attempt fails");
                    return Err(JobError::retry(error.class, error.message));
                }
                tracing::warn!(%error, "a step timed out; it is repeated");
            }
            Err(error) if error.decision == Decision::Database => {
                tracing::warn!(%error, "database away; the attempt waits");
            }
            other => return other,
        }
        tokio::select! {
            () = cancellation.cancelled() => return Err(JobError::lost_lease()),
            () = tokio::time::sleep(DATABASE_RETRY_PAUSE) => {}
        }
    }
}
