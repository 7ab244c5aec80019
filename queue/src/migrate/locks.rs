//! Waits for locks in small portions. A statement that waits for a table's lock stops everybody who comes after
//! it, so a migration gives up soon, lets the others pass, and tries again.

use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError as SqlxError, Migration};
use sqlx::{Executor, PgConnection};

use super::error::{MigrateError, refused};
use super::ledger::Ledger;
use crate::error::has_sqlstate;

/// Longest wait for one lock, and so the longest delay of an enqueue per lock of the migration.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '300ms'";

/// A migration outside a transaction builds an index beside the writers and delays nobody.
const NO_LOCK_TIMEOUT: &str = "SET lock_timeout = 0";

/// The first pause, for the others to pass.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Applies the migration, again and again until `patience` is over, while other transactions hold its locks.
pub(super) async fn apply(
    connection: &mut PgConnection,
    ledger: &Ledger,
    migration: &Migration,
    patience: Duration,
) -> Result<Duration, MigrateError> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    connection.execute(if migration.no_tx { NO_LOCK_TIMEOUT } else { LOCK_TIMEOUT }).await?;
    loop {
        let error = match connection.apply(ledger.table, migration).await {
            Ok(took) => return Ok(took),
            Err(SqlxError::ExecuteMigration(error, _) | SqlxError::Execute(error)) if is_locked(&error) => {
                error
            }
            Err(error) => return Err(refused(ledger.table, error)),
        };
        let holders = holders(connection).await?.join("; ");
        if begun.elapsed() + pause > patience {
            return Err(MigrateError::Locked {
                table: ledger.table,
                version: migration.version,
                seconds: begun.elapsed().as_secs(),
                holders,
            });
        }
        tracing::warn!(%error, version = migration.version, next_try_seconds = pause.as_secs_f64(),
            "the migration waits for a lock; open transactions: {holders}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_locked(error: &sqlx::Error) -> bool {
    has_sqlstate(error, "55P03")
}

/// The oldest transactions that hold locks on tables here. Another role's activity is hidden from a role that is
/// not a member of `pg_read_all_stats`.
async fn holders(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "-- migrate::holders
         SELECT format('process %s (%s, %s, open for %s s)', pid, coalesce(nullif(application_name, ''), 'unnamed'),
                       coalesce(state, 'state hidden'), coalesce(extract(epoch FROM now() - xact_start)::int::text, '?'))
           FROM pg_stat_activity
          WHERE pid <> pg_backend_pid()
            AND pid IN (SELECT pid FROM pg_locks
                         WHERE locktype = 'relation' AND granted AND relation >= 16384
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
          ORDER BY xact_start LIMIT 3",
    )
    .fetch_all(connection)
    .await
}
