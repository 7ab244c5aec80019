//! Brings the database's schema to what this program needs, and tells how far it is.
//!
//! The migrations are compiled in. sqlx runs each in a transaction of its own together with its line in the ledger
//! (`_sqlx_migrations`). Added here: turns are taken by trying a lock instead of waiting inside a statement,
//! everything that would be refused is refused before anything changes, and errors say what to do.

mod adopt;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::migrate::{Migrate, Migrator};
use sqlx::{Connection, PgConnection, PgPool};

pub use adopt::adopt;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/versions");

/// sqlx's name for the table of what was applied.
const LEDGER: &str = "_sqlx_migrations";

/// Key of the advisory lock, "bedel" in ASCII. Advisory locks belong to one database.
const TURN: i64 = 0x62_65_64_65_6c;

/// How often a waiting run asks whether it is its turn.
const TURN_POLL: Duration = Duration::from_millis(200);

/// What [`run`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The migrations that this run applied, in order. Empty where the schema was up to date.
    pub applied: Vec<Row>,
}

/// One migration, known to the program or to the database or to both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The number at the start of the file's name.
    pub version: i64,
    /// The rest of the file's name, with spaces.
    pub description: String,
    /// How far it is.
    pub state: State,
    /// When it was applied, by the database's clock.
    pub applied_at: Option<DateTime<Utc>>,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In the database, with this very text.
    Applied,
    /// Not in the database yet.
    Pending,
    /// In the database, but its text was another one: the checksums differ.
    Changed,
    /// In the database, but not in this program, which is older.
    Unknown,
    /// Begun without a transaction, and never finished.
    Incomplete,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Changed => "applied, checksum mismatch",
            Self::Unknown => "applied, unknown to this program",
            Self::Incomplete => "incomplete",
        })
    }
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is ahead of the program.
    #[error(
        "the database has migration {version} ({description}), which this program does not know: \
         it is older than the database. Nothing was changed. Run the newer program"
    )]
    Unknown {
        /// The first such migration.
        version: i64,
        /// Its description in the ledger.
        description: String,
    },
    /// A migration that landed was edited.
    #[error(
        "migration {version} ({description}) was applied with another text than this program has. \
         Nothing was changed. Restore its file and put the change into a new migration"
    )]
    Changed {
        /// The first such migration.
        version: i64,
        /// Its description.
        description: String,
    },
    /// A migration without a transaction stopped half way.
    #[error(
        "migration {version} ({description}) was begun and never finished. Nothing was changed. \
         Undo what it did by hand, delete its row from _sqlx_migrations and run this again"
    )]
    Incomplete {
        /// The first such migration.
        version: i64,
        /// Its description.
        description: String,
    },
    /// A statement of a migration was refused. What was applied before it stays.
    #[error(
        "migration {version} failed: {source}. What came before it is applied; correct the cause and run this again"
    )]
    Failed {
        /// The migration.
        version: i64,
        /// The database's own words.
        source: sqlx::Error,
    },
    /// The database that is to be taken over does not fit.
    #[error("this database cannot be adopted; nothing was changed:\n  {}", .0.join("\n  "))]
    NotAdoptable(Vec<String>),
    /// The database could not be reached, or refused something outside the migrations.
    #[error("the schema could not be read or changed: {0}")]
    Database(#[from] sqlx::Error),
    /// sqlx refused for a reason that is none of the above.
    #[error("the migrations could not be run: {0}")]
    Ledger(sqlx::migrate::MigrateError),
}

/// Applies what is pending. Runs on a connection of its own, which it closes, so the lock goes whatever happens.
/// A second run at the same time waits for its turn and then finds nothing to do.
///
/// # Errors
/// See [`MigrateError`].
pub async fn run(pool: &PgPool) -> Result<Report, MigrateError> {
    let mut connection = pool.acquire().await?.detach();
    take_turn(&mut connection).await?;
    // sqlx's own lock, for those who use its command line. We hold ours, so none of ours waits for it.
    connection.lock().await.map_err(ledger_error)?;
    let before = rows(&mut connection).await?;
    refuse(&before)?;
    connection.ensure_migrations_table(LEDGER).await.map_err(ledger_error)?;
    let pending: Vec<i64> =
        before.iter().filter(|row| row.state == State::Pending).map(|row| row.version).collect();
    for migration in MIGRATOR.iter().filter(|known| pending.contains(&known.version)) {
        let took = connection.apply(LEDGER, migration).await.map_err(ledger_error)?;
        tracing::info!(version = migration.version, description = %migration.description, ?took, "migration applied");
    }
    let mut applied = rows(&mut connection).await?;
    applied.retain(|row| pending.contains(&row.version));
    connection.close().await?;
    Ok(Report { applied })
}

/// Every migration that the program or the database knows, by version. Changes nothing, not even the ledger.
///
/// # Errors
/// [`MigrateError::Database`] only.
pub async fn status(pool: &PgPool) -> Result<Vec<Row>, MigrateError> {
    Ok(rows(&mut *pool.acquire().await?).await?)
}

/// Waits for the lock by trying again. A statement that waits for it holds a snapshot, and `CREATE INDEX
/// CONCURRENTLY` in the run that has the lock would wait for that snapshot: a deadlock.
async fn take_turn(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut told = false;
    while !sqlx::query_scalar::<_, bool>("-- migrate::take_turn\nSELECT pg_try_advisory_lock($1)")
        .bind(TURN)
        .fetch_one(&mut *connection)
        .await?
    {
        if !told {
            tracing::info!("another migration is running; waiting for it to end");
            told = true;
        }
        tokio::time::sleep(TURN_POLL).await;
    }
    Ok(())
}

/// A line of the ledger: version, description, when, whether it ended, checksum.
type Line = (i64, String, DateTime<Utc>, bool, Vec<u8>);

async fn rows(connection: &mut PgConnection) -> Result<Vec<Row>, sqlx::Error> {
    let mut ledger = ledger(connection).await?;
    let mut rows: Vec<Row> = MIGRATOR
        .iter()
        .map(|known| {
            let line = ledger.iter().position(|line| line.0 == known.version).map(|at| ledger.remove(at));
            let state = match &line {
                None => State::Pending,
                Some((.., false, _)) => State::Incomplete,
                Some((.., checksum)) if *checksum != *known.checksum => State::Changed,
                Some(_) => State::Applied,
            };
            Row {
                version: known.version,
                description: known.description.to_string(),
                state,
                applied_at: line.map(|line| line.2),
            }
        })
        .collect();
    // What is left of the ledger is what the program does not know.
    rows.extend(ledger.into_iter().map(|(version, description, applied_at, ..)| Row {
        version,
        description,
        state: State::Unknown,
        applied_at: Some(applied_at),
    }));
    rows.sort_by_key(|row| row.version);
    Ok(rows)
}

async fn ledger(connection: &mut PgConnection) -> Result<Vec<Line>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("-- migrate::ledger_exists\nSELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "-- migrate::ledger
         SELECT version, description, installed_on, success, checksum FROM _sqlx_migrations ORDER BY version",
    )
    .fetch_all(connection)
    .await
}

/// sqlx would notice an edited migration only when it comes to it, after applying what was pending before it.
fn refuse(rows: &[Row]) -> Result<(), MigrateError> {
    for Row { version, description, state, .. } in rows.iter().cloned() {
        match state {
            State::Unknown => return Err(MigrateError::Unknown { version, description }),
            State::Changed => return Err(MigrateError::Changed { version, description }),
            State::Incomplete => return Err(MigrateError::Incomplete { version, description }),
            State::Applied | State::Pending => {}
        }
    }
    Ok(())
}

fn ledger_error(error: sqlx::migrate::MigrateError) -> MigrateError {
    match error {
        sqlx::migrate::MigrateError::ExecuteMigration(source, version) => {
            MigrateError::Failed { version, source }
        }
        sqlx::migrate::MigrateError::Execute(source) => MigrateError::Database(source),
        other => MigrateError::Ledger(other),
    }
}
