//! One run of a job, as its handler sees it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::progress::Progress;
use crate::database_retry::{STEP_TIMEOUT, retry_while_away};
use crate::error::JobError;
use crate::fence;

/// How long a step is repeated that may have itself to blame.
const BUSY_PATIENCE: Duration = Duration::from_secs(120);

/// Shortest time between two checkpoint writes of one attempt.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(200);

/// One run of a job. Its `lease` fences every write and is part of every temporary object's name.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The job's id.
    pub job_id: Uuid,
    /// The job's subject: the id of the thing it works on.
    pub subject: Option<Uuid>,
    /// Fresh at each claim.
    pub lease: Uuid,
    /// Claims so far, including this one. Never decreases.
    pub number: i32,
    /// Failures so far that count towards `max_attempts`: neither crashes nor releases nor waits.
    pub errors: i32,
    /// The job's priority, 1 (first) to 4 (last), for jobs that follow it.
    pub priority: i16,
    /// Seconds between enqueue and this claim, by the database's clock.
    pub age_seconds: f64,
    pub(crate) checkpoint: Option<Value>,
    pub(crate) cancellation: CancellationToken,
    pub(crate) progress: Progress,
    pub(crate) saves: CheckpointSaves,
    /// None for a detached attempt.
    pub(crate) pool: Option<PgPool>,
}

/// The last checkpoint write. Clones share it, and the lock serializes concurrent saves.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckpointSaves(Arc<Mutex<LastSave>>);

#[derive(Debug, Default)]
struct LastSave {
    /// When the last statement was sent or answered. None before the first.
    at: Option<Instant>,
    /// The row's checkpoint since then. None if the answer was lost.
    value: Option<Value>,
}

impl Attempt {
    /// An attempt without a row in the queue, to run a handler by hand. Its lease always holds.
    #[must_use]
    pub fn detached(subject: Option<Uuid>) -> Self {
        Self {
            job_id: Uuid::new_v4(),
            subject,
            lease: Uuid::new_v4(),
            number: 1,
            errors: 0,
            priority: 2,
            age_seconds: 0.0,
            checkpoint: None,
            cancellation: CancellationToken::new(),
            progress: Progress::default(),
            saves: CheckpointSaves::default(),
            pool: None,
        }
    }

    /// The job's subject.
    ///
    /// # Errors
    /// Fatal if the job was enqueued without one.
    pub fn subject(&self) -> Result<Uuid, JobError> {
        self.subject.ok_or_else(|| JobError::fatal("no-subject", "this job was enqueued without a subject"))
    }

    /// Fires when the attempt is cancelled, released or has lost its lease, and when its handler ended: it returned,
    /// panicked or ran out of time. Give it to what works on other threads.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Reports progress, 0 to 1. Cheap at any rate: each heartbeat writes the latest value of all attempts in
    /// one statement and skips values that did not change.
    pub fn set_progress(&self, fraction: f64) {
        self.progress.set(fraction);
    }

    /// The checkpoint of an earlier attempt. None if there is none or it cannot be read.
    #[must_use]
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Option<T> {
        self.checkpoint.clone().and_then(|value| serde_json::from_value(value).ok())
    }

    /// Saves the point from which a later attempt resumes. The checkpoint is durable when this returns: no
    /// later attempt repeats or pays for the work behind it. Waits while the database is away.
    ///
    /// One attempt saves at most five times a second. Earlier calls wait, and concurrent calls run one after
    /// another. A checkpoint equal to the row's is not written again, but its lease is still checked.
    ///
    /// # Errors
    /// `lost-lease` if the lease is gone; fatal if the checkpoint cannot be written as JSON.
    pub async fn save_checkpoint<T: Serialize + Sync>(&self, checkpoint: &T) -> Result<(), JobError> {
        let value = serde_json::to_value(checkpoint)
            .map_err(|error| JobError::fatal("checkpoint", format!("the checkpoint is no JSON: {error}")))?;
        let Some(pool) = &self.pool else { return Ok(()) };
        let mut last = self.saves.0.lock().await;
        let in_the_row = match last.at {
            Some(at) => {
                tokio::select! {
                    () = self.cancellation.cancelled() => return Err(JobError::lost_lease()),
                    () = tokio::time::sleep_until(at + CHECKPOINT_INTERVAL) => last.value.as_ref(),
                }
            }
            None => self.checkpoint.as_ref(),
        };
        if in_the_row == Some(&value) {
            self.check_lease().await?;
        } else {
            // If the caller drops this call, the row's value is unknown.
            *last = LastSave { at: Some(Instant::now()), value: None };
            self.retry_while_database_is_away(|| {
                fence::save_checkpoint(pool, self.job_id, self.lease, &value)
            })
            .await?;
        }
        *last = LastSave { at: Some(Instant::now()), value: Some(value) };
        Ok(())
    }

    /// Checks in the database that the lease still holds. Call it before a final file gets its name. Waits
    /// while the database is away.
    ///
    /// # Errors
    /// `lost-lease` if the lease is gone.
    pub async fn check_lease(&self) -> Result<(), JobError> {
        let Some(pool) = &self.pool else { return Ok(()) };
        self.retry_while_database_is_away(|| fence::check(pool, self.job_id, self.lease)).await
    }

    /// Repeats `step` while the database is away: a failover must not throw away an hour of finished work.
    ///
    /// # Errors
    /// The step's error unless it is transient; `lost-lease` if the attempt is cancelled meanwhile.
    pub async fn retry_while_database_is_away<T, Step, Outcome>(&self, step: Step) -> Result<T, JobError>
    where
        Step: Fn() -> Outcome + Send,
        Outcome: Future<Output = Result<T, JobError>> + Send,
    {
        let within_limit = move || {
            let outcome = timeout(STEP_TIMEOUT, step());
            // The kind's time limit bounds a step that hangs again and again.
            async { outcome.await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into())) }
        };
        retry_while_away(&self.cancellation, BUSY_PATIENCE, within_limit).await
    }
}
