//! The handle producers and workers share: the pool, and a wake-up that costs at most one NOTIFY at a time.

use sqlx::PgPool;
use tokio::sync::mpsc;

/// The channel workers listen on.
pub(crate) const CHANNEL: &str = "bedel_queue";

/// Payload that asks workers to look at once for attempts that are no longer theirs.
pub(crate) const CANCELLED: &str = "cancelled";

/// A handle on the queue's tables.
#[derive(Debug, Clone)]
pub struct Queue {
    pool: PgPool,
    /// Room for one: a signal that finds it full is already on its way.
    work: mpsc::Sender<()>,
    cancelled: mpsc::Sender<()>,
}

impl Queue {
    /// A handle on the queue in `pool`'s database. Call it inside a tokio runtime: the wake-ups are sent by tasks of
    /// their own, which end with the last handle.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let work = sender(&pool, "");
        let cancelled = sender(&pool, CANCELLED);
        Self { pool, work, cancelled }
    }

    /// The database.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
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
        notify(&self.pool, "").await
    }

    /// As [`announce_cancellation`](Self::announce_cancellation), but sent when this returns.
    ///
    /// # Errors
    /// The database's.
    pub async fn announce_cancellation_now(&self) -> Result<(), sqlx::Error> {
        notify(&self.pool, CANCELLED).await
    }
}

/// One round trip, and no wait for the disk: a wake-up that is lost with the server would wake nobody.
async fn notify(pool: &PgPool, payload: &str) -> Result<(), sqlx::Error> {
    let statement = match payload {
        CANCELLED => {
            "SET LOCAL synchronous_commit = off; SELECT pg_notify('bedel_queue', 'cancelled') -- queue::notify"
        }
        _ => "SET LOCAL synchronous_commit = off; SELECT pg_notify('bedel_queue', '') -- queue::notify",
    };
    sqlx::raw_sql(statement).execute(pool).await?;
    Ok(())
}

/// Sends one NOTIFY per signal; signals that arrive meanwhile become one more.
fn sender(pool: &PgPool, payload: &'static str) -> mpsc::Sender<()> {
    let (sender, mut signals) = mpsc::channel(1);
    let pool = pool.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            if let Err(error) = notify(&pool, payload).await {
                tracing::debug!(%error, "wake-up not sent; workers poll");
            }
        }
    });
    sender
}
