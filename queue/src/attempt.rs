//! One run of a job, as its handler sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::JobError;
use crate::fence;

/// Progress that nothing was said of yet.
const UNKNOWN: u32 = f32::NAN.to_bits();

/// Shortest time between two statements by which one attempt saves its checkpoint.
const CHECKPOINT_GAP: Duration = Duration::from_millis(200);

/// One run of a job. Its `lease` is the fence of every write and part of the name of every temporary object.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The job's id.
    pub job_id: Uuid,
    /// The job's subject, here the lecture's id.
    pub subject: Option<Uuid>,
    /// Fresh at each claim.
    pub lease: Uuid,
    /// Claims so far, this one included. Never goes down.
    pub number: i32,
    /// The job's priority, 1 (first) to 4 (last): for jobs that follow it.
    pub priority: i16,
    /// Seconds since the job was enqueued, by the database's clock at the claim.
    pub age_seconds: f64,
    pub(crate) checkpoint: Option<Value>,
    pub(crate) cancellation: CancellationToken,
    pub(crate) progress: Progress,
    pub(crate) saves: Saves,
    /// None where the attempt is detached.
    pub(crate) pool: Option<PgPool>,
}

/// The latest fraction an attempt told, shared with the process that writes it now and then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Told>);

#[derive(Debug)]
struct Told {
    latest: AtomicU32,
    /// What was taken last, to be written.
    taken: AtomicU32,
}

impl Default for Told {
    fn default() -> Self {
        Self { latest: AtomicU32::new(UNKNOWN), taken: AtomicU32::new(UNKNOWN) }
    }
}

impl Progress {
    fn set(&self, fraction: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a fraction to be shown, stored as real")]
        self.0.latest.store((fraction.clamp(0.0, 1.0) as f32).to_bits(), Ordering::Relaxed);
    }

    /// The latest fraction, once: None until a different one is told.
    pub(crate) fn take(&self) -> Option<f32> {
        let latest = self.0.latest.load(Ordering::Relaxed);
        let fraction = f32::from_bits(latest);
        (self.0.taken.swap(latest, Ordering::Relaxed) != latest && !fraction.is_nan()).then_some(fraction)
    }

    /// What was taken was not written: it is taken again.
    pub(crate) fn give_back(&self) {
        self.0.taken.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// What an attempt last saved. Clones share it, and the lock puts concurrent saves in a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Saves(Arc<Mutex<Saved>>);

#[derive(Debug, Default)]
struct Saved {
    /// When the last statement was sent or answered. None where this attempt saved nothing yet.
    at: Option<Instant>,
    /// What is in the row since. None where the answer did not arrive.
    value: Option<Value>,
}

impl Attempt {
    /// An attempt that belongs to no row of the queue: for running a handler by hand. Its lease always holds.
    #[must_use]
    pub fn detached(subject: Option<Uuid>) -> Self {
        Self {
            job_id: Uuid::new_v4(),
            subject,
            lease: Uuid::new_v4(),
            number: 1,
            priority: 2,
            age_seconds: 0.0,
            checkpoint: None,
            cancellation: CancellationToken::new(),
            progress: Progress::default(),
            saves: Saves::default(),
            pool: None,
        }
    }

    /// The job's subject.
    ///
    /// # Errors
    /// Fatal where the job was enqueued without one.
    pub fn subject(&self) -> Result<Uuid, JobError> {
        self.subject.ok_or_else(|| JobError::fatal("no-subject", "this job was enqueued without a subject"))
    }

    /// Fires when the attempt is cancelled, released or has lost its lease.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Tells how far the work is, 0 to 1. Cheap, however often it is called: the process writes the latest value of all its
    /// attempts in one statement per heartbeat, and a value that did not change not at all.
    pub fn set_progress(&self, fraction: f64) {
        self.progress.set(fraction);
    }

    /// What an earlier attempt saved. None where nothing was saved or where it can no longer be read.
    #[must_use]
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Option<T> {
        self.checkpoint.clone().and_then(|value| serde_json::from_value(value).ok())
    }

    /// Saves what a later attempt needs to go on from here. When this returns the checkpoint is durable: what it stands for
    /// need not be done or paid for again, whatever happens to the process. Waits while the database is away.
    ///
    /// One attempt saves at most five times a second: a call that comes sooner waits, and several at a time go one after
    /// another. A checkpoint equal to the one in the row is not written again; the lease is checked all the same.
    ///
    /// # Errors
    /// `lost-lease` where the lease is gone; fatal where the checkpoint cannot be written as JSON.
    pub async fn save_checkpoint<T: Serialize + Sync>(&self, checkpoint: &T) -> Result<(), JobError> {
        let value = serde_json::to_value(checkpoint)
            .map_err(|error| JobError::fatal("checkpoint", format!("the checkpoint is no JSON: {error}")))?;
        let Some(pool) = &self.pool else { return Ok(()) };
        let mut saved = self.saves.0.lock().await;
        let in_the_row = match saved.at {
            Some(at) => {
                tokio::select! {
                    () = self.cancellation.cancelled() => return Err(JobError::lost_lease()),
                    () = tokio::time::sleep_until(at + CHECKPOINT_GAP) => saved.value.as_ref(),
                }
            }
            None => self.checkpoint.as_ref(),
        };
        if in_the_row == Some(&value) {
            self.check_lease().await?;
        } else {
            // Should the caller drop this call, nobody knows what is in the row.
            *saved = Saved { at: Some(Instant::now()), value: None };
            self.patiently(|| fence::save_checkpoint(pool, self.job_id, self.lease, &value)).await?;
        }
        *saved = Saved { at: Some(Instant::now()), value: Some(value) };
        Ok(())
    }

    /// Asks the database whether the lease still holds: call it before a final file gets its name. Waits while the
    /// database is away.
    ///
    /// # Errors
    /// `lost-lease` where the lease is gone.
    pub async fn check_lease(&self) -> Result<(), JobError> {
        let Some(pool) = &self.pool else { return Ok(()) };
        self.patiently(|| fence::check(pool, self.job_id, self.lease)).await
    }

    /// Repeats `step` while the database is away: an hour of finished work is not thrown away for a failover.
    ///
    /// # Errors
    /// The step's, when it is no passing trouble; `lost-lease` where the attempt was cancelled meanwhile.
    pub async fn patiently<T, Step, Outcome>(&self, step: Step) -> Result<T, JobError>
    where
        Step: Fn() -> Outcome + Send,
        Outcome: Future<Output = Result<T, JobError>> + Send,
    {
        fence::patiently(&self.cancellation, step).await
    }
}
