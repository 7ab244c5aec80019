//! Connections outside the program's pool. Handlers may use up the whole pool without blocking the queue.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, Postgres};
use tokio::time::error::Elapsed;

use crate::stale::replace_stale;

/// An idle connection is closed after this time: most processes of a fleet are idle, and a server's connections are few.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of ours assumes nothing about the defaults of its role and its database.
const PINNED: [(&str, &str); 2] = [("default_transaction_isolation", "read committed"), ("TimeZone", "UTC")];

/// For connections that repeat the same few statements: one generic index plan each, for all values and table
/// sizes. Compiling a plan (`jit`) takes longer than running it.
pub(crate) const STABLE_PLANS: [(&str, &str); 6] = [
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// The statements that make these settings.
fn set(settings: &[(&str, &str)]) -> String {
    let set: Vec<String> =
        PINNED.iter().chain(settings).map(|(name, value)| format!("SET {name} = '{value}'")).collect();
    set.join(";\n")
}

/// Makes these settings on a connection of ours.
pub(crate) async fn prepare(
    connection: &mut PgConnection,
    settings: &[(&str, &str)],
) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(set(settings)))).await?;
    Ok(())
}

/// The answer. A connection that did not answer in time is closed: its peer may have vanished, and the next statement
/// would wait for it too.
pub(crate) fn answered<T, E: From<sqlx::Error>>(
    mut connection: PoolConnection<Postgres>,
    answer: Result<Result<T, E>, Elapsed>,
) -> Result<T, E> {
    answer.unwrap_or_else(|_| {
        connection.close_on_drop();
        Err(sqlx::Error::PoolTimedOut.into())
    })
}

/// A pool of one connection to `pool`'s database, opened on first use with these server settings.
///
/// They are set by `SET`: a pooler such as PgBouncer refuses start-up options.
pub(crate) fn dedicated_connection(pool: &PgPool, name: &str, settings: &[(&str, &str)]) -> PgPool {
    let set: Arc<str> = set(settings).into();
    let options = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        // Callers retry every statement, so a ping before each use would waste a round trip.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let set = Arc::clone(&set);
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(AssertSqlSafe(set.to_string()))).await?;
                Ok(())
            })
        });
    replace_stale(options).connect_lazy_with(pool.connect_options().as_ref().clone().application_name(name))
}
