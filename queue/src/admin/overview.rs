//! What waits, runs and fails now, per kind and per queue.

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::{Acquire, AssertSqlSafe, PgConnection};

use super::counting::{COUNT_LIMIT, disable_jit};
use super::fleet::{Depth, depths};
use super::queues::{QueueView, queues};
use crate::claim::claimable::expand;

static FAILING: LazyLock<String> = LazyLock::new(|| expand(include_str!("../../sql/failing.sql")));

/// The present state of the queue. Every count stops at [`COUNT_LIMIT`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// Per kind, in the order asked for.
    pub kinds: Vec<KindOverview>,
    /// Per queue, by name.
    pub queues: Vec<QueueView>,
}

/// The present state of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KindOverview {
    /// Waiting and running jobs, and the age of the oldest due one.
    #[serde(flatten)]
    pub depth: Depth,
    /// Waiting jobs with a failed or crashed attempt since they were enqueued or retried by hand.
    pub failing: i64,
}

/// The present state of these kinds and of all queues. No table is scanned: see [`depths`] and [`queues`].
///
/// # Errors
/// If the database is away.
pub async fn overview(connection: &mut PgConnection, kinds: &[&str]) -> Result<Overview, sqlx::Error> {
    let depths = depths(connection, kinds).await?;
    let queues = queues(connection).await?;
    let mut tx = connection.begin().await?;
    disable_jit(&mut tx).await?;
    let failing: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(FAILING.as_str()))
        .bind(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>())
        .bind(COUNT_LIMIT)
        .fetch_all(&mut *tx)
        .await?;
    tx.rollback().await?;
    // Both lists have the order of `kinds`.
    let kinds = depths.into_iter().zip(failing).map(|(depth, (_, failing))| KindOverview { depth, failing });
    Ok(Overview { kinds: kinds.collect(), queues })
}
