//! The handle that producers and workers share: the pool, and wake-ups that cost at most one NOTIFY at a
//! time.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::PgPool;
use tokio::sync::mpsc;

use super::insert::{self, Enqueued};
use super::wake_up::{CANCELLED, WORK, Wanted, notify, spawn_cancel_sender, spawn_work_sender};
use crate::dedicated_connection::dedicated_connection;
use crate::job::new_job::NewJob;

/// A wake-up that is lost with the server would wake no worker, so no wait for the disk.
const ASYNC_COMMIT: [(&str, &str); 1] = [("synchronous_commit", "off")];

/// A handle on the queue's tables.
#[derive(Debug, Clone)]
pub struct Queue {
    pool: PgPool,
    /// A dedicated connection for wake-ups: they never wait for the pool.
    wakes: PgPool,
    /// Capacity 1: if it is full, a signal is already pending.
    work: mpsc::Sender<()>,
    /// Whom the next signal wakes.
    wanted: Arc<Mutex<Wanted>>,
    cancelled: mpsc::Sender<()>,
}

impl Queue {
    /// A handle on the queue in `pool`'s database. Call it inside a tokio runtime. Background tasks send the
    /// wake-ups over one extra connection, opened for the first one; they end with the last handle.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let wakes = dedicated_connection(&pool, "bedel-wakes", &ASYNC_COMMIT);
        let wanted = Arc::default();
        let work = spawn_work_sender(&wakes, &wanted);
        let cancelled = spawn_cancel_sender(&wakes);
        Self { pool, wakes, work, wanted, cancelled }
    }

    /// The database.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Enqueues `job` in its own transaction, one round trip, and wakes the workers after it. A job that belongs to
    /// rows of yours goes into their transaction instead, with [`enqueue`](crate::enqueue()).
    ///
    /// # Errors
    /// If the database is away or refuses the insert. A connection lost on the way leaves open whether the
    /// job exists; a [`unique_key`](NewJob::unique_key) makes a retry safe.
    pub async fn enqueue(&self, job: &NewJob) -> Result<Enqueued, sqlx::Error> {
        // Not in the insert's transaction: transactions with a NOTIFY flush one after another, and each fails while
        // the server's queue of notifications is full.
        let enqueued = insert::enqueue(&mut *self.pool.acquire().await?, job).await?;
        if enqueued.created {
            self.wake_for(job.kind);
        }
        Ok(enqueued)
    }

    /// Tells workers that there is work. Call it after the commit. Many calls in a row cost few statements; a
    /// lost one costs a poll interval.
    pub fn wake(&self) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Wanted::All;
        let _ = self.work.try_send(());
    }

    /// As [`wake`](Self::wake), for a job of this kind. Workers without the kind go on, and of many with it a few are woken.
    pub(crate) fn wake_for(&self, kind: &'static str) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).add_kind(kind);
        let _ = self.work.try_send(());
    }

    /// Tells workers that running attempts were cancelled. Call it after the commit. If it is lost, they
    /// notice at their next heartbeat.
    pub fn announce_cancellation(&self) {
        let _ = self.cancelled.try_send(());
    }

    /// As [`wake`](Self::wake), but sent when this returns: for a program that is about to exit.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn wake_now(&self) -> Result<(), sqlx::Error> {
        notify(&self.wakes, WORK).await
    }

    /// As [`announce_cancellation`](Self::announce_cancellation), but sent when this returns.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn announce_cancellation_now(&self) -> Result<(), sqlx::Error> {
        notify(&self.wakes, CANCELLED).await
    }
}
