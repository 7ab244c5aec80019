//! Database connections for handlers.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::timeout;

use super::problem::Problem;

/// Longest wait for a connection. Then the answer is 503.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction.
pub(super) async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Problem> {
    timeout(CONNECTION_TIMEOUT, pool.begin())
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(Problem::from)
}

/// A connection.
pub(super) async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>, Problem> {
    timeout(CONNECTION_TIMEOUT, pool.acquire())
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(Problem::from)
}
