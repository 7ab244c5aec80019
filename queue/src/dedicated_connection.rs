//! Connections outside the program's pool. Handlers may use up the whole pool without blocking the queue.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool of one connection to `pool`'s database, opened on first use with these server settings.
pub(crate) fn dedicated_connection(pool: &PgPool, name: &str, settings: &[(&str, &str)]) -> PgPool {
    let options = pool.connect_options().as_ref().clone().application_name(name);
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Callers retry every statement, so a ping before each use would waste a round trip.
        .test_before_acquire(false)
        .connect_lazy_with(options.options(settings.iter().copied()))
}
