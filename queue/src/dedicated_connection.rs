//! Connections outside the program's pool. Handlers may use up the whole pool without blocking the queue.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::stale::replace_stale;

/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool of one connection to `pool`'s database, opened on first use with these server settings.
///
/// They are set by `SET`: a pooler such as PgBouncer refuses start-up options.
pub(crate) fn dedicated_connection(pool: &PgPool, name: &str, settings: &[(&str, &str)]) -> PgPool {
    let set: Vec<String> = settings.iter().map(|(name, value)| format!("SET {name} = '{value}'")).collect();
    let set: Arc<str> = set.join(";\n").into();
    let options = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
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
