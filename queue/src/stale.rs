//! Connections that answer, but must not be used again.
//!
//! A migration that changes a column's type fails every prepared statement that returns the column, on each
//! connection until it closes. A session that was opened on a read-only server may stay read-only once the
//! server is writable. The first such error notes the time. Pools with this hook then replace every connection
//! that was opened before, when it is next asked for.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::PgPoolOptions;

/// Connections opened earlier are stale.
static STALE_BEFORE: Mutex<Option<Instant>> = Mutex::new(None);

/// The pool replaces stale connections. It sets `before_acquire`: a pool with its own hook calls
/// [`is_fresh`] there.
#[must_use]
pub fn replace_stale(options: PgPoolOptions) -> PgPoolOptions {
    options.before_acquire(|_, metadata| {
        let fresh = is_fresh(&metadata);
        Box::pin(async move { Ok(fresh) })
    })
}

/// False if the connection was opened before the last error that made connections stale.
#[must_use]
pub fn is_fresh(metadata: &PoolConnectionMetadata) -> bool {
    let stale_before = *STALE_BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    stale_before.is_none_or(|time| metadata.age < time.elapsed())
}

/// Makes all connections stale if `error` says that its own is. Call it with every error of a statement; the
/// queue does so with its own. True if a repeat on a fresh connection may succeed.
pub fn note_stale(error: &sqlx::Error) -> bool {
    let stale = is_changed_result(error) || is_read_only(error);
    if stale {
        mark_stale();
    }
    stale
}

/// Makes all connections of this process stale.
pub fn mark_stale() {
    *STALE_BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// "cached plan must not change result type". The code alone has other causes; the server translates its
/// message, but not the name of the function that raises it.
pub(crate) fn is_changed_result(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let routine =
        error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().and_then(|error| error.routine());
    error.code().as_deref() == Some("0A000") && routine == Some("RevalidateCachedQuery")
}

fn is_read_only(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("25006"))
}
