//! Listens for wake-ups. Polling makes up for every lost one.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::dedicated_connection::dedicated_connection;
use crate::enqueue::wake_up::{CHANNEL, Meaning, meaning};
use crate::liveness::fleet::Fleet;

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before another try to listen.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Listens for wake-ups.
pub(super) struct Listener {
    pub(super) pool: PgPool,
    /// After this time without a notification the connection is checked.
    pub(super) check_after: Duration,
    /// Kinds of this worker.
    pub(super) kinds: Vec<&'static str>,
    pub(super) work: Arc<Notify>,
    pub(super) beat_now: Arc<Notify>,
    pub(super) fleet: Arc<Fleet>,
}

impl Listener {
    /// Listens until it is dropped.
    pub(super) async fn run(self) {
        loop {
            let outcome = self.listen().await;
            self.fleet.set_hears_wake_ups(false);
            if let Err(error) = outcome {
                tracing::debug!(%error, "not listening; polling continues");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn listen(&self) -> Result<(), sqlx::Error> {
        // A listener keeps its connection, even one that does not answer. So it is none of the program's, and not the
        // last one's.
        let own = dedicated_connection(&self.pool, "bedel-listen", &[]);
        let listen = async {
            let mut listener = PgListener::connect_with(&own).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        let mut listener = within_limit(listen).await?;
        loop {
            self.fleet.set_hears_wake_ups(true);
            self.work.notify_one(); // for wake-ups sent before we listened
            loop {
                let Ok(notification) = timeout(self.check_after, listener.try_recv()).await else {
                    // A peer that vanished is silent too.
                    let check = sqlx::query("-- queue::check_listener\nSELECT 1").execute(&mut listener);
                    within_limit(check).await?;
                    continue;
                };
                match notification? {
                    Some(notification) => self.hear(notification.payload()),
                    // The connection was lost and is reopened by the next call.
                    None => break,
                }
            }
        }
    }

    fn hear(&self, payload: &str) {
        match meaning(payload, |kind| self.kinds.contains(&kind)) {
            Meaning::Cancelled => self.beat_now.notify_one(),
            Meaning::Work => self.work.notify_one(),
            Meaning::FewJobs if self.fleet.is_chosen() => self.work.notify_one(),
            Meaning::FewJobs | Meaning::Nothing => {}
        }
    }
}

async fn within_limit<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(ANSWER_TIMEOUT, step).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}
