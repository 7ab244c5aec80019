//! The queue's schema, and the runner of its migrations.
//!
//! The schema is always named `queue`: fixed names keep every statement plain SQL that an operator can paste.
//! Applied migrations are recorded in `queue.migrations`, so the queue shares a database with the tables and
//! migrations of any program.
//!
//! A program may run its own migrations together with the queue's: see [`Ledger`] and [`run`]. sqlx applies
//! each migration in one transaction with its row in the ledger. The runner adds three things. Runs take
//! turns by an advisory lock. Everything that must be refused is refused before anything changes. Errors say
//! what to do.

mod error;
mod grants;
mod ledger;
mod locks;

use std::time::Duration;

use sqlx::migrate::Migrate;
use sqlx::{PgConnection, PgPool};

use crate::error::has_sqlstate;
pub use error::MigrateError;
use error::refused;
pub use ledger::{Ledger, Row, State};

/// Key of the advisory lock. Advisory locks belong to one database.
const LOCK: i64 = 0x62_65_64_65_6c;

/// Time between two tries for the lock.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// How long [`run`] waits for other transactions' locks.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// The queue's migrations.
pub static QUEUE: Ledger =
    Ledger { migrator: sqlx::migrate!("./migrations"), schema: Some("queue"), table: "queue.migrations" };

/// What [`run`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The migrations that this run applied, in order. Empty if the schema was up to date.
    pub applied: Vec<Row>,
}

/// The next migration of [`run_with`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step<'a> {
    /// Migrations applied so far.
    pub done: usize,
    /// Migrations to apply.
    pub total: usize,
    /// The rest of the file's name, with spaces.
    pub description: &'a str,
}

/// Creates the queue's schema, or brings it up to date. Run it at each deployment, from any number of
/// processes at once.
///
/// # Errors
/// See [`MigrateError`].
pub async fn migrate(pool: &PgPool) -> Result<Report, MigrateError> {
    run(pool, &[&QUEUE]).await
}

/// Applies the pending migrations of `ledgers`, in their order. Uses its own connection and closes it, so the
/// lock is always released. A concurrent run waits, then finds nothing to do.
///
/// # Errors
/// See [`MigrateError`]. If any ledger must be refused, nothing is changed in any of them.
pub async fn run(pool: &PgPool, ledgers: &[&Ledger]) -> Result<Report, MigrateError> {
    run_with(pool, ledgers, LOCK_PATIENCE, &mut |_| ()).await
}

/// As [`run`]; `progress` is called before each migration, and each waits up to `patience` for its locks. It
/// waits in portions of 0.3 s, so that no enqueue waits long behind it.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    pool: &PgPool,
    ledgers: &[&Ledger],
    patience: Duration,
    progress: &mut (dyn FnMut(Step<'_>) + Send),
) -> Result<Report, MigrateError> {
    let mut connection = pool.acquire().await?.detach();
    lock(&mut connection).await?;
    // sqlx's own lock, for its command line. We hold ours, so no other run of ours waits for it.
    connection.lock().await.map_err(|error| refused("the lock", error))?;
    let mut states = Vec::new();
    for ledger in ledgers {
        let rows = match ledger.rows(&mut connection).await {
            // It may not even read the ledger.
            Err(error) if has_sqlstate(&error, "42501") => {
                let all: Vec<i64> = ledger.migrations().map(|known| known.version).collect();
                return Err(MigrateError::Grants(grants::missing(&mut connection, ledger, &all).await?));
            }
            rows => rows?,
        };
        refuse(&rows)?;
        states.push(rows);
    }
    let mut missing = Vec::new();
    for (ledger, rows) in ledgers.iter().zip(&states) {
        missing.append(&mut grants::missing(&mut connection, ledger, &pending(rows)).await?);
    }
    if !missing.is_empty() {
        return Err(MigrateError::Grants(missing));
    }
    let total = states.iter().flatten().filter(|row| row.state == State::Pending).count();
    let mut done = 0;
    let mut report = Report { applied: Vec::new() };
    for (ledger, before) in ledgers.iter().zip(states) {
        let pending = pending(&before);
        ledger.create_table(&mut connection).await?;
        for migration in ledger.migrations().filter(|known| pending.contains(&known.version)) {
            progress(Step { done, total, description: &migration.description });
            let took = locks::apply(&mut connection, ledger, migration, patience).await?;
            tracing::info!(ledger = ledger.table, version = migration.version,
                description = %migration.description, ?took, "migration applied");
            done += 1;
        }
        let mut applied = ledger.rows(&mut connection).await?;
        applied.retain(|row| pending.contains(&row.version));
        report.applied.append(&mut applied);
    }
    sqlx::Connection::close(connection).await?;
    Ok(report)
}

/// Every migration that the program or the database knows, by ledger and version. Changes nothing, not even
/// the ledgers.
///
/// # Errors
/// [`MigrateError::Database`] only.
pub async fn status(pool: &PgPool, ledgers: &[&Ledger]) -> Result<Vec<Row>, MigrateError> {
    let mut connection = pool.acquire().await?;
    let mut rows = Vec::new();
    for ledger in ledgers {
        rows.append(&mut ledger.rows(&mut connection).await?);
    }
    Ok(rows)
}

/// Takes the lock that [`run`] takes, until the connection closes. It polls: a statement that waits for the
/// lock holds a snapshot, and `CREATE INDEX CONCURRENTLY` in the other run would wait for that snapshot, a
/// deadlock.
///
/// # Errors
/// If the database is away.
pub async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut logged = false;
    while !sqlx::query_scalar::<_, bool>("-- migrate::lock\nSELECT pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut *connection)
        .await?
    {
        if !logged {
            tracing::info!("another migration is running; waiting for it to end");
            logged = true;
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
    Ok(())
}

/// The versions of the pending ones.
fn pending(rows: &[Row]) -> Vec<i64> {
    rows.iter().filter(|row| row.state == State::Pending).map(|row| row.version).collect()
}

/// sqlx would find an edited migration only after applying the pending ones before it.
fn refuse(rows: &[Row]) -> Result<(), MigrateError> {
    for Row { table, version, description, state, .. } in rows.iter().cloned() {
        match state {
            State::Unknown => return Err(MigrateError::Unknown { table, version, description }),
            State::Changed => return Err(MigrateError::Changed { table, version, description }),
            State::Incomplete => return Err(MigrateError::Incomplete { table, version, description }),
            State::Applied | State::Pending => {}
        }
    }
    Ok(())
}
