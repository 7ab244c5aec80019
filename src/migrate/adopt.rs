//! Takes over a database that the backend before Bedel made: the tables of the schema document, without a ledger of
//! migrations, with rows in every state.
//!
//! What is there is verified and stays as it is. A column that is missing or of another type ends it with a list, before
//! anything changes. What only adds is added: indexes, triggers, defaults, foreign keys.

use bedel_queue::migrate::lock;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use super::{MigrateError, PROGRAM, State};

/// The migrations whose tables are there already.
const ADOPTED: std::ops::RangeInclusive<i64> = 1..=6;

/// The one that makes the users table, or takes it over, and says why where it cannot.
const USERS: i64 = 3;

/// Adds what is missing; see the file.
const ADDITIONS: &str = include_str!("adopt.sql");

/// What must be there: table, column and type as PostgreSQL writes it.
const COLUMNS: &[(&str, &str, &str)] = &[
    ("lectures", "id", "uuid"),
    ("lectures", "course_id", "uuid"),
    ("lectures", "panopto_session_id", "text"),
    ("lectures", "panopto_url", "text"),
    ("lectures", "stream_url", "text"),
    ("lectures", "title", "text"),
    ("lectures", "audio_storage_key", "text"),
    ("lectures", "transcript_storage_key", "text"),
    ("lectures", "duration_seconds", "integer"),
    ("lectures", "status", "lecture_status"),
    ("lectures", "error_message", "text"),
    ("lectures", "created_at", "timestamp with time zone"),
    ("lectures", "updated_at", "timestamp with time zone"),
    ("documents", "id", "uuid"),
    ("documents", "owner_id", "uuid"),
    ("documents", "course_id", "uuid"),
    ("documents", "filename", "text"),
    ("documents", "storage_key", "text"),
    ("documents", "checksum", "text"),
    ("documents", "mime_type", "text"),
    ("documents", "size_bytes", "bigint"),
    ("documents", "page_count", "integer"),
    ("documents", "description", "text"),
    ("documents", "status", "document_status"),
    ("documents", "created_at", "timestamp with time zone"),
    ("documents", "updated_at", "timestamp with time zone"),
    ("users", "id", "uuid"),
    ("user_lectures", "user_id", "uuid"),
    ("user_lectures", "lecture_id", "uuid"),
    ("user_lectures", "created_at", "timestamp with time zone"),
    ("courses", "id", "uuid"),
    ("courses", "code", "text"),
    ("courses", "title", "text"),
    ("courses", "instructor", "text"),
    ("courses", "is_official", "boolean"),
    ("courses", "created_at", "timestamp with time zone"),
    ("courses", "updated_at", "timestamp with time zone"),
];

/// What must be there where the table is: it is made otherwise.
const CHOICES: &[(&str, &str, &str)] = &[
    ("user_courses", "user_id", "uuid"),
    ("user_courses", "course_id", "uuid"),
    ("user_courses", "created_at", "timestamp with time zone"),
];

/// What must be unique: inserts rely on it, and duplicates cannot be mended from here.
const UNIQUE: &[(&str, &[&str])] = &[
    ("lectures", &["id"]),
    ("lectures", &["course_id", "panopto_session_id"]),
    ("documents", &["id"]),
    ("documents", &["owner_id", "course_id", "checksum"]),
    ("user_lectures", &["user_id", "lecture_id"]),
    ("courses", &["id"]),
    ("courses", &["code"]),
];

const ENUMS: &[(&str, &[&str])] = &[
    ("lecture_status", &["pending", "downloading", "completed", "failed"]),
    ("document_status", &["uploaded", "failed"]),
];

/// Why a database could not be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The database does not fit.
    #[error("this database cannot be adopted; nothing was changed:\n  {}", .0.join("\n  "))]
    NotAdoptable(Vec<String>),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database is away, or refused a statement.
    #[error("the schema could not be read or changed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Takes the database over and records its tables' migrations. The later ones are then pending as in any other. A database that
/// has these migrations is left as it is. Returns the foreign keys that stay unproven, since rows break them.
///
/// # Errors
/// [`AdoptError::NotAdoptable`] with everything that does not fit; the database's. Nothing was changed then.
pub async fn adopt(pool: &PgPool) -> Result<Vec<String>, AdoptError> {
    let mut connection = pool.acquire().await?.detach();
    lock(&mut connection).await?;
    let known = PROGRAM.rows(&mut connection).await?;
    if known.iter().any(|row| row.applied_at.is_some()) {
        // What an earlier try recorded is recorded: what comes after it is what is left to do.
        let adopted =
            known.iter().filter(|row| ADOPTED.contains(&row.version)).all(|row| row.state == State::Applied);
        if adopted {
            return Ok(Vec::new());
        }
        return Err(AdoptError::NotAdoptable(vec![
            "it has a ledger of migrations, though not of all that are to be adopted: type bedel migrate --status".to_owned(),
        ]));
    }
    let problems = problems(&mut connection).await?;
    if !problems.is_empty() {
        return Err(AdoptError::NotAdoptable(problems));
    }
    let mut tx = connection.begin().await?;
    let users = PROGRAM.migrations().find(|known| known.version == USERS).expect("a migration of ours");
    sqlx::raw_sql(AssertSqlSafe(users.sql.as_str())).execute(&mut *tx).await?;
    sqlx::raw_sql(ADDITIONS).execute(&mut *tx).await?;
    PROGRAM.create_table(&mut tx).await?;
    for known in PROGRAM.migrations().filter(|known| ADOPTED.contains(&known.version)) {
        sqlx::query(
            "-- adopt::record
             INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES ($1, $2, true, $3, 0)",
        )
        .bind(known.version)
        .bind(&*known.description)
        .bind(&*known.checksum)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    let unproven = validate(&mut connection).await?;
    connection.close().await?;
    Ok(unproven)
}

/// Everything that does not fit, in words.
async fn problems(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let mut problems = Vec::new();
    for (name, labels) in ENUMS {
        let found: Vec<String> = sqlx::query_scalar(
            "-- adopt::labels
             SELECT enumlabel::text FROM pg_enum WHERE enumtypid = to_regtype($1)::oid ORDER BY enumsortorder",
        )
        .bind(name)
        .fetch_all(&mut *connection)
        .await?;
        if found != *labels {
            problems.push(format!(
                "type {name}: has ({}), must have ({})",
                found.join(", "),
                labels.join(", ")
            ));
        }
    }
    let mut missing: Vec<&str> = Vec::new();
    for &(table, column, kind) in COLUMNS.iter().chain(CHOICES) {
        if missing.contains(&table) {
            continue;
        }
        let (there, found) = column_of(connection, table, column).await?;
        match found {
            _ if !there => {
                missing.push(table);
                // One is made by us, and another by the migration that takes over what there is.
                if !matches!(table, "user_courses" | "users") {
                    problems.push(format!("table {table}: is missing"));
                }
            }
            None => problems.push(format!("{table}.{column}: is missing, must be {kind}")),
            Some(found) if found != kind => {
                problems.push(format!("{table}.{column}: is {found}, must be {kind}"))
            }
            Some(_) => {}
        }
    }
    for &(table, columns) in UNIQUE {
        if !missing.contains(&table) && !is_unique(connection, table, columns).await? {
            problems.push(format!("{table}: ({}) must be unique", columns.join(", ")));
        }
    }
    Ok(problems)
}

/// Whether the table is there, and the column's type.
async fn column_of(
    connection: &mut PgConnection,
    table: &str,
    column: &str,
) -> Result<(bool, Option<String>), sqlx::Error> {
    sqlx::query_as(
        "-- adopt::column
         SELECT to_regclass($1) IS NOT NULL,
                (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = to_regclass($1) AND attname = $2 AND attnum > 0 AND NOT attisdropped)",
    )
    .bind(table)
    .bind(column)
    .fetch_one(connection)
    .await
}

/// Whether an index, such as a constraint's, keeps these columns unique together.
async fn is_unique(
    connection: &mut PgConnection,
    table: &str,
    columns: &[&str],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- adopt::is_unique
         SELECT EXISTS (
             SELECT FROM pg_index
             WHERE indrelid = to_regclass($1) AND indisunique AND indisvalid AND indpred IS NULL AND indnkeyatts = cardinality($2)
                 AND (SELECT array_agg(attname::text ORDER BY attname::text) FROM pg_attribute
                      WHERE attrelid = indrelid AND attnum = ANY (indkey))
                   = (SELECT array_agg(name ORDER BY name) FROM unnest($2::text[]) AS name)
         )",
    )
    .bind(table)
    .bind(columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>())
    .fetch_one(connection)
    .await
}

/// Proves the foreign keys that were added, one by one, while others read and write. Those that rows break stay: they hold for
/// every row from now on.
async fn validate(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let added: Vec<(String, String)> = sqlx::query_as(
        "-- adopt::unproven
         SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
         WHERE contype = 'f' AND NOT convalidated AND connamespace = current_schema()::regnamespace
         ORDER BY 1, 2",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut unproven = Vec::new();
    for (table, name) in added {
        let proof = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
        match sqlx::raw_sql(AssertSqlSafe(proof.as_str())).execute(&mut *connection).await {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                unproven.push(format!("{table}, {name}: {}", error.message()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(unproven)
}
