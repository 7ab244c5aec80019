//! Why the schema could not be migrated.

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

/// What sqlx refused.
pub(super) fn refused(table: &'static str, error: sqlx::migrate::MigrateError) -> MigrateError {
    match error {
        sqlx::migrate::MigrateError::ExecuteMigration(source, version) => {
            MigrateError::Failed { table, version, source }
        }
        sqlx::migrate::MigrateError::Execute(source) => MigrateError::Database(source),
        other => MigrateError::Ledger(other),
    }
}
