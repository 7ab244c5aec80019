//! What waits, runs and fails now, per kind and per queue.

use serde::Serialize;
use sqlx::{Acquire, PgConnection};

use super::counting::disable_jit;
use super::fleet::{Depth, read_depths};
use super::queues::{QueueView, read_queues};

/// The present state of the queue. Every count stops at [`COUNT_LIMIT`](crate::COUNT_LIMIT).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// Per kind, in the order asked for.
    pub kinds: Vec<Depth>,
    /// Per queue, by name.
    pub queues: Vec<QueueView>,
}

/// The present state of these kinds and of all queues. No table is scanned: see [`depths`](super::fleet::depths) and
/// [`queues`](super::queues::queues).
///
/// # Errors
/// If the database is away.
pub async fn overview(connection: &mut PgConnection, kinds: &[&str]) -> Result<Overview, sqlx::Error> {
    let mut tx = connection.begin().await?;
    disable_jit(&mut tx).await?;
    let overview =
        Overview { kinds: read_depths(&mut tx, kinds).await?, queues: read_queues(&mut tx).await? };
    // Nothing was written; the rollback restores the caller's setting.
    tx.rollback().await?;
    Ok(overview)
}
