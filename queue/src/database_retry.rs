//! Retries while the database is away.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Decision, JobError};

/// Pause between two tries while the database is away.
pub(crate) const DATABASE_RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Longest wait for one step of an attempt. A connection whose peer vanished must not hold an attempt for ever: the
/// heartbeat keeps that attempt alive.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Retries of a step that timed out on a lock or on itself: it may block itself.
const BUSY_RETRIES: u32 = 5;

/// Repeats `step` while it fails with a transient database error.
pub(crate) async fn retry_while_away<T, Step, Outcome>(
    cancellation: &CancellationToken,
    step: Step,
) -> Result<T, JobError>
where
    Step: Fn() -> Outcome + Send,
    Outcome: Future<Output = Result<T, JobError>> + Send,
{
    let mut busy_retries = BUSY_RETRIES;
    loop {
        let outcome = tokio::time::timeout(STEP_TIMEOUT, step()).await;
        match outcome.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into())) {
            Err(error) if error.decision == Decision::Busy && busy_retries == 0 => {
                tracing::warn!(%error, "statement keeps timing out; the attempt fails");
                return Err(JobError::retry(error.class, error.message));
            }
            Err(error) if matches!(error.decision, Decision::Database | Decision::Busy) => {
                busy_retries -= u32::from(error.decision == Decision::Busy);
                tracing::warn!(%error, "database away; the attempt waits");
                tokio::select! {
                    () = cancellation.cancelled() => return Err(JobError::lost_lease()),
                    () = tokio::time::sleep(DATABASE_RETRY_PAUSE) => {}
                }
            }
            other => return other,
        }
    }
}
