//! The handle producers and workers share: the pool, and a wake-up that costs at most one NOTIFY at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::enqueue::{self, Enqueued, NewJob};
use crate::own::own_connection;

/// The channel workers listen on.
pub(crate) const CHANNEL: &str = "bedel_queue";

/// Payload that tells of work.
const WORK: &str = "";

/// Payload that asks workers to look at once for attempts that are no longer theirs.
pub(crate) const CANCELLED: &str = "cancelled";

/// A handle that enqueued nothing by itself for this long lets the next job's transaction carry its wake-up.
const QUIET: Duration = Duration::from_millis(5);

/// A wake-up that is not answered in this time is sent again.
const UNANSWERED: Duration = Duration::from_secs(2);

/// For the connection of the wake-ups: one that is lost with the server would wake nobody.
const COMMIT_LATER: [(&str, &str); 1] = [("synchronous_commit", "off")];

/// A handle on the queue's tables.
#[derive(Debug, Clone)]
pub struct Queue {
    pool: PgPool,
    /// The wake-ups' own connection: they do not stand in line behind those who hold all of the pool.
    wakes: PgPool,
    /// Room for one: a signal that finds it full is already on its way.
    work: mpsc::Sender<()>,
    cancelled: mpsc::Sender<()>,
    /// The last [`enqueue`](Self::enqueue).
    enqueued: Arc<Mutex<Option<Instant>>>,
}

impl Queue {
    /// A handle on the queue in `pool`'s database. Call it inside a tokio runtime: the wake-ups are sent by tasks of
    /// their own over one more connection, made when the first is sent; they end with the last handle.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let wakes = own_connection(&pool, "bedel-wakes", &COMMIT_LATER);
        let work = sender(&wakes, WORK);
        let cancelled = sender(&wakes, CANCELLED);
        Self { pool, wakes, work, cancelled, enqueued: Arc::default() }
    }

    /// The database.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Enqueues `job` in a transaction of its own, one round trip, and wakes the workers. For a job that stands for itself;
    /// one that belongs to rows of yours goes into their transaction, by [`enqueue`](crate::enqueue()).
    ///
    /// # Errors
    /// The database's. A connection that was lost on the way leaves open whether the job exists; a
    /// [`unique_key`](NewJob::unique_key) makes it safe to try again.
    pub async fn enqueue(&self, job: &NewJob) -> Result<Enqueued, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        // Transactions that notify wait for each other at their end, where others become durable together. So a job
        // carries its wake-up where it comes alone, and in a crowd the wake-ups follow, few for many.
        if self.was_quiet() {
            return enqueue::enqueue_and_notify(&mut connection, job).await;
        }
        let enqueued = enqueue::enqueue(&mut connection, job).await?;
        if enqueued.created {
            self.wake();
        }
        Ok(enqueued)
    }

    fn was_quiet(&self) -> bool {
        let now = Instant::now();
        let last = self.enqueued.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        last.is_none_or(|last| now.duration_since(last) >= QUIET)
    }

    /// Tells workers that there is work. Call it after the commit. Many calls in a row cost few statements; one that
    /// is lost costs a poll interval.
    pub fn wake(&self) {
        let _ = self.work.try_send(());
    }

    /// Tells workers that running attempts were cancelled. Call it after the commit; where it is lost they notice at
    /// their next heartbeat.
    pub fn announce_cancellation(&self) {
        let _ = self.cancelled.try_send(());
    }

    /// As [`wake`](Self::wake), but sent when this returns: for a program that is about to exit.
    ///
    /// # Errors
    /// The database's.
    pub async fn wake_now(&self) -> Result<(), sqlx::Error> {
        notify(&self.wakes, WORK).await
    }

    /// As [`announce_cancellation`](Self::announce_cancellation), but sent when this returns.
    ///
    /// # Errors
    /// The database's.
    pub async fn announce_cancellation_now(&self) -> Result<(), sqlx::Error> {
        notify(&self.wakes, CANCELLED).await
    }
}

/// One round trip. A connection that broke while nobody used it is found out by using it, so there is a second try.
async fn notify(wakes: &PgPool, payload: &str) -> Result<(), sqlx::Error> {
    if notify_once(wakes, payload).await.is_err() {
        notify_once(wakes, payload).await?;
    }
    Ok(())
}

async fn notify_once(wakes: &PgPool, payload: &str) -> Result<(), sqlx::Error> {
    let mut connection = wakes.acquire().await?;
    let statement = sqlx::query("-- queue::notify\nSELECT pg_notify('bedel_queue', $1)").bind(payload);
    let answer = tokio::time::timeout(UNANSWERED, statement.execute(&mut *connection)).await;
    let Ok(answer) = answer else {
        // Whoever waits for a connection whose other end is gone wakes nobody.
        connection.close_on_drop();
        return Err(sqlx::Error::PoolTimedOut);
    };
    answer.map(|_| ())
}

/// Sends one NOTIFY per signal; signals that arrive meanwhile become one more.
fn sender(wakes: &PgPool, payload: &'static str) -> mpsc::Sender<()> {
    let (sender, mut signals) = mpsc::channel(1);
    let wakes = wakes.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            if let Err(error) = notify(&wakes, payload).await {
                tracing::debug!(%error, "wake-up not sent; workers poll");
            }
        }
    });
    sender
}
