//! Wake-ups: NOTIFY on one channel.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::dedicated_connection::answered;
use crate::stale::note_stale;

/// The channel that workers listen on.
pub(crate) const CHANNEL: &str = "bedel_queue";

/// Payload: there is work.
pub(super) const WORK: &str = "";

/// Payload: attempts were cancelled, so check now which ones still hold their lease.
pub(crate) const CANCELLED: &str = "cancelled";

/// A NOTIFY that is not answered in this time is sent again.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends one NOTIFY in one round trip. Only use shows that an idle connection broke, so there is a second
/// try.
pub(super) async fn notify(wakes: &PgPool, payload: &str) -> Result<(), sqlx::Error> {
    if let Err(error) = notify_once(wakes, payload).await {
        note_stale(&error);
        notify_once(wakes, payload).await?;
    }
    Ok(())
}

async fn notify_once(wakes: &PgPool, payload: &str) -> Result<(), sqlx::Error> {
    let mut connection = wakes.acquire().await?;
    let statement = sqlx::query("-- queue::notify\nSELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload);
    let answer = tokio::time::timeout(NOTIFY_TIMEOUT, statement.execute(&mut *connection)).await;
    answered(connection, answer).map(|_| ())
}

/// Sends one NOTIFY per signal. Signals that arrive meanwhile are merged into one more.
pub(super) fn spawn_sender(wakes: &PgPool, payload: &'static str) -> mpsc::Sender<()> {
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
