//! Migrations and the table that records the applied ones.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::migrate::{Migrate, Migration, Migrator};
use sqlx::{AssertSqlSafe, PgConnection};

use super::error::{MigrateError, refused};

/// A set of migrations, and the table that records the applied ones.
#[derive(Debug)]
pub struct Ledger {
    pub(super) migrator: Migrator,
    /// Created before the table if missing.
    pub(super) schema: Option<&'static str>,
    pub(super) table: &'static str,
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
