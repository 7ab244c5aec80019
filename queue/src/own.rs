//! Connections beside the program's pool, which handlers may hold whole: nothing of theirs can hold up the queue.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Longest wait for a connection.
const ANSWER: Duration = Duration::from_secs(5);

/// One connection to `pool`'s database, made when it is first used, with these settings of the server's.
pub(crate) fn own_connection(pool: &PgPool, name: &str, settings: &[(&str, &str)]) -> PgPool {
    let options = pool.connect_options().as_ref().clone().application_name(name);
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ANSWER)
        // What is done on it is repeated when it fails: asking first whether it is alive is a round trip for nothing.
        .test_before_acquire(false)
        .connect_lazy_with(options.options(settings.iter().copied()))
}
