//! Brings the database's schema up to date: this program's tables, then the queue's.
//!
//! Both sets of migrations are compiled in, and `bedel_queue::migrate` runs them: ours are recorded in `_sqlx_migrations`, the
//! queue's in `queue.migrations`.

mod adopt;

use std::time::Duration;

use bedel_queue::migrate::{Ledger, QUEUE};
use sqlx::PgPool;

pub use adopt::{AdoptError, adopt};
pub use bedel_queue::migrate::{LOCK_PATIENCE, MigrateError, Report, Row, State, Step};

/// The table that sqlx's own command line uses too.
pub const TABLE: &str = "_sqlx_migrations";

static PROGRAM: Ledger = Ledger::new(sqlx::migrate!("./migrations/versions"), TABLE);

/// Ours first: a database that must be adopted fails there, before the queue's schema is created.
const LEDGERS: [&Ledger; 2] = [&PROGRAM, &QUEUE];

/// Applies what is pending. A second run at the same time waits and then finds nothing to do.
///
/// # Errors
/// See [`MigrateError`].
pub async fn run(pool: &PgPool) -> Result<Report, MigrateError> {
    run_with(pool, LOCK_PATIENCE, &mut |_| ()).await
}

/// As [`run`]; `progress` is called before each migration, and each waits up to `patience` for its locks.
///
/// # Errors
/// See [`MigrateError`].
pub async fn run_with(
    pool: &PgPool,
    patience: Duration,
    progress: &mut (dyn FnMut(Step<'_>) + Send),
) -> Result<Report, MigrateError> {
    bedel_queue::migrate::run_with(pool, &LEDGERS, patience, progress).await
}

/// Every migration that the program or the database knows, ours first. Changes nothing, not even the ledgers.
///
/// # Errors
/// [`MigrateError::Database`] only.
pub async fn status(pool: &PgPool) -> Result<Vec<Row>, MigrateError> {
    bedel_queue::migrate::status(pool, &LEDGERS).await
}
