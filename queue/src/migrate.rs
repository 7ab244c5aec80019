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

mod grants;
mod locks;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::migrate::{Migrate, Migration, Migrator};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

/// Key of the advisory lock. Advisory locks belong to one database.
const LOCK: i64 = 0x62_65_64_65_6c;

/// Time between two tries for the lock.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// How long [`run`] waits for other transactions' locks.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// The queue's migrations.
pub static QUEUE: Ledger =
    Ledger { migrator: sqlx::migrate!("./migrations"), schema: Some("queue"), table: "queue.migrations" };

/// A set of migrations, and the table that records the applied ones.
#[derive(Debug)]
pub struct Ledger {
    migrator: Migrator,
    /// Created before the table if missing.
    schema: Option<&'static str>,
    table: &'static str,
}

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

/// One migration, known to the program, to the database or to both.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The table that records it.
    pub table: &'static str,
    /// The number at the start of the file's name.
    pub version: i64,
    /// The rest of the file's name, with spaces.
    pub description: String,
    /// Its state in the database.
    pub state: State,
    /// When it was applied, by the database's clock.
    pub applied_at: Option<DateTime<Utc>>,
}

/// The state of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// In the database, with the same text.
    Applied,
    /// Not in the database yet.
    Pending,
    /// In the database with another text: the checksums differ.
    Changed,
    /// In the database, but not in this program, which is older.
    Unknown,
    /// Begun without a transaction and never finished.
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

/// Why the schema could not be migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database is newer than the program.
    #[error(
        "{table} has migration {version} ({description}), which this program does not know: it is older than the \
         database. Nothing was changed. Run the newer program"
    )]
    Unknown {
        /// The ledger's table.
        table: &'static str,
        /// The first such migration.
        version: i64,
        /// Its description in the ledger.
        description: String,
    },
    /// An applied migration was edited.
    #[error(
        "migration {version} ({description}) in {table} was applied with another text than this program has. \
         Nothing was changed. Restore its file and put the change into a new migration"
    )]
    Changed {
        /// The ledger's table.
        table: &'static str,
        /// The first such migration.
        version: i64,
        /// Its description.
        description: String,
    },
    /// A migration without a transaction stopped half way.
    #[error(
        "migration {version} ({description}) was begun and never finished. Nothing was changed. \
         Undo its changes by hand, delete its row from {table} and run this again"
    )]
    Incomplete {
        /// The ledger's table.
        table: &'static str,
        /// The first such migration.
        version: i64,
        /// Its description.
        description: String,
    },
    /// The database refused a statement of a migration. Earlier migrations stay applied.
    #[error(
        "migration {version} of {table} failed: {source}. Earlier migrations are applied; fix the cause and run this again"
    )]
    Failed {
        /// The ledger's table.
        table: &'static str,
        /// The migration.
        version: i64,
        /// The database's error.
        source: sqlx::Error,
    },
    /// Other transactions kept a table locked. Earlier migrations stay applied.
    #[error(
        "migration {version} of {table} got no lock within {seconds} s. Open transactions: {holders}. Nothing of this \
         migration is applied. End those transactions (SELECT pg_terminate_backend(process)) and run this again"
    )]
    Locked {
        /// The ledger's table.
        table: &'static str,
        /// The migration.
        version: i64,
        /// How long it tried.
        seconds: u64,
        /// The oldest transactions that hold locks.
        holders: String,
    },
    /// The role may not make the changes.
    #[error("this role may not migrate the database. Nothing was changed. As an administrator type: {}", .0.join(" "))]
    Grants(Vec<String>),
    /// The database is away, or refused a statement outside the migrations.
    #[error("the schema could not be read or changed: {0}")]
    Database(#[from] sqlx::Error),
    /// sqlx refused for another reason.
    #[error("the migrations could not be run: {0}")]
    Ledger(sqlx::migrate::MigrateError),
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
/// waits in portions of 0.3 s, so that nobody waits long behind it.
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
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(|error| error.code().as_deref() == Some("42501")) =>
            {
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

/// A row of the ledger: version, description, time, whether it finished, checksum.
type LedgerRow = (i64, String, DateTime<Utc>, bool, Vec<u8>);

impl Ledger {
    /// The migrations of a program, recorded in `table`.
    #[must_use]
    pub const fn new(migrator: Migrator, table: &'static str) -> Self {
        Self { migrator, schema: None, table }
    }

    /// The migrations, by version.
    pub fn migrations(&self) -> impl Iterator<Item = &Migration> {
        self.migrator.iter()
    }

    /// Creates the ledger's table if it is missing.
    ///
    /// # Errors
    /// If the database is away or refuses it.
    pub async fn create_table(&self, connection: &mut PgConnection) -> Result<(), MigrateError> {
        // Its own `IF NOT EXISTS` needs the right to make one all the same.
        if let Some(schema) = self.schema
            && !schema_exists(connection, schema).await?
        {
            let created = connection.create_schema_if_not_exists(schema).await;
            created.map_err(|error| refused(self.table, error))?;
        }
        let created = connection.ensure_migrations_table(self.table).await;
        created.map_err(|error| refused(self.table, error))
    }

    /// Every migration that the program or the database knows, by version. Changes nothing.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn rows(&self, connection: &mut PgConnection) -> Result<Vec<Row>, sqlx::Error> {
        let mut recorded = self.recorded(connection).await?;
        let mut rows: Vec<Row> = self
            .migrations()
            .map(|known| {
                let found = recorded.iter().position(|row| row.0 == known.version);
                let row = found.map(|at| recorded.remove(at));
                let state = match &row {
                    None => State::Pending,
                    Some((.., false, _)) => State::Incomplete,
                    Some((.., checksum)) if *checksum != *known.checksum => State::Changed,
                    Some(_) => State::Applied,
                };
                Row {
                    table: self.table,
                    version: known.version,
                    description: known.description.to_string(),
                    state,
                    applied_at: row.map(|row| row.2),
                }
            })
            .collect();
        // The program does not know the remaining ones.
        rows.extend(recorded.into_iter().map(|(version, description, applied_at, ..)| Row {
            table: self.table,
            version,
            description,
            state: State::Unknown,
            applied_at: Some(applied_at),
        }));
        rows.sort_by_key(|row| row.version);
        Ok(rows)
    }

    async fn recorded(&self, connection: &mut PgConnection) -> Result<Vec<LedgerRow>, sqlx::Error> {
        let exists: bool =
            sqlx::query_scalar("-- migrate::ledger_exists\nSELECT to_regclass($1) IS NOT NULL")
                .bind(self.table)
                .fetch_one(&mut *connection)
                .await?;
        if !exists {
            return Ok(Vec::new());
        }
        let columns = "version, description, installed_on, success, checksum";
        let statement = format!("SELECT {columns} FROM {} ORDER BY version -- migrate::ledger", self.table);
        sqlx::query_as(AssertSqlSafe(statement)).fetch_all(connection).await
    }
}

async fn schema_exists(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- migrate::schema_exists\nSELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::text)",
    )
    .bind(name)
    .fetch_one(connection)
    .await
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

fn refused(table: &'static str, error: sqlx::migrate::MigrateError) -> MigrateError {
    match error {
        sqlx::migrate::MigrateError::ExecuteMigration(source, version) => {
            MigrateError::Failed { table, version, source }
        }
        sqlx::migrate::MigrateError::Execute(source) => MigrateError::Database(source),
        other => MigrateError::Ledger(other),
    }
}
