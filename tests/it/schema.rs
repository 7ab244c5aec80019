//! The migrations make the documented schema, and migrating is safe.

mod document;
mod expectation;
mod live;

use std::path::PathBuf;
use std::time::Duration;

use bedel::migrate::{self, MigrateError, State};
use bedel_jobs::user::ensure_user_exists;
use bedel_postgres::testing::{self, TestDatabase};
use sqlx::PgPool;
use tokio::task::JoinSet;
use uuid::Uuid;

/// A database with every migration.
pub(crate) async fn migrated() -> TestDatabase {
    testing::database("schema", |pool| async move {
        migrate::run(&pool).await.expect("a migrated database");
    })
    .await
}

/// An empty database.
async fn empty() -> TestDatabase {
    testing::database("schema_empty", |_| async {}).await
}

#[tokio::test]
async fn the_schema_is_the_one_that_was_agreed() {
    let database = migrated().await;
    let live = live::schema(&database.pool).await;
    let expected: Vec<&str> =
        expectation::SCHEMA.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let missing: Vec<_> = expected.iter().filter(|line| !live.iter().any(|found| found == *line)).collect();
    let surplus: Vec<_> = live.iter().filter(|found| !expected.contains(&found.as_str())).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing: {missing:#?}\nsurplus: {surplus:#?}");
    assert_eq!(live, expected, "the order of columns or enum values differs");
}

#[tokio::test]
async fn the_document_and_the_schema_say_the_same() {
    let database = migrated().await;
    let columns = live::columns(&database.pool).await;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference/database-schema.md");
    let text = std::fs::read_to_string(path).expect("the schema document");
    document::compare(&text, &columns, &live::named_objects(&database.pool).await);
}

#[tokio::test]
async fn updated_at_follows_every_update() {
    let database = migrated().await;
    let user = Uuid::new_v4();
    let mut connection = database.pool.acquire().await.expect("a connection");
    ensure_user_exists(&mut connection, user).await.expect("a user");
    for (insert, update) in [
        (
            "INSERT INTO lectures (course_id, panopto_url, stream_url, updated_at) VALUES ($1, '', '', 'epoch')",
            "UPDATE lectures SET title = 'x', updated_at = 'epoch' RETURNING updated_at = now()",
        ),
        (
            "INSERT INTO documents (owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes, updated_at)
             VALUES ($1, $1, '', '', '', '', 0, 'epoch')",
            "UPDATE documents SET filename = 'x', updated_at = 'epoch' RETURNING updated_at = now()",
        ),
        (
            "INSERT INTO courses (code, title, updated_at) VALUES ($1::uuid::text, '', 'epoch')",
            "UPDATE courses SET title = 'x', updated_at = 'epoch' RETURNING updated_at = now()",
        ),
    ] {
        sqlx::query(insert).bind(user).execute(&mut *connection).await.expect("a row");
        let fresh: bool = sqlx::query_scalar(update).fetch_one(&mut *connection).await.expect("an update");
        assert!(fresh, "{update}");
    }
}

#[tokio::test]
async fn deleting_a_user_deletes_what_is_theirs() {
    let database = migrated().await;
    sqlx::raw_sql(
        "INSERT INTO users (id) VALUES ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002');
         INSERT INTO lectures (course_id, panopto_url, stream_url) VALUES (gen_random_uuid(), '', '');
         INSERT INTO courses (code, title) VALUES ('CSC 1', 'One');
         INSERT INTO user_lectures SELECT users.id, lectures.id FROM users, lectures;
         INSERT INTO user_courses SELECT users.id, courses.id FROM users, courses;
         INSERT INTO documents (owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
             SELECT id, gen_random_uuid(), '', '', '', '', 0 FROM users;
         DELETE FROM users WHERE id = '00000000-0000-0000-0000-000000000001';",
    )
    .execute(&database.pool)
    .await
    .expect("rows");
    let left: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM user_lectures), (SELECT count(*) FROM user_courses),
            (SELECT count(*) FROM documents), (SELECT count(*) FROM lectures), (SELECT count(*) FROM courses)",
    )
    .fetch_one(&database.pool)
    .await
    .expect("counts");
    assert_eq!(left, (1, 1, 1, 1, 1));
}

#[tokio::test]
async fn a_users_table_with_more_columns_and_rows_is_adopted() {
    let database = empty().await;
    let pool = &database.pool;
    let known = Uuid::new_v4();
    sqlx::raw_sql(
        "CREATE TABLE users (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE, name text,
            plan text NOT NULL DEFAULT 'free')",
    )
    .execute(pool)
    .await
    .expect("a table");
    sqlx::query("INSERT INTO users (id, email, name) VALUES ($1, 'ada@example.edu', 'Ada')")
        .bind(known)
        .execute(pool)
        .await
        .expect("a user");
    let before = live::columns(pool).await;

    migrate::run(pool).await.expect("an adopted table");

    let after = live::columns(pool).await;
    assert_eq!(after["users"], before["users"]);
    let row: (String, Option<String>, String) =
        sqlx::query_as("SELECT email, name, plan FROM users WHERE id = $1")
            .bind(known)
            .fetch_one(pool)
            .await
            .expect("the row");
    assert_eq!(row, ("ada@example.edu".to_owned(), Some("Ada".to_owned()), "free".to_owned()));

    // A known user needs no insert, even if new rows need an e-mail address.
    let mut connection = pool.acquire().await.expect("a connection");
    ensure_user_exists(&mut connection, known).await.expect("the known user");
    let lacking = ensure_user_exists(&mut connection, Uuid::new_v4()).await.expect_err("no e-mail address");
    assert_eq!(lacking.as_database_error().and_then(|error| error.code()).as_deref(), Some("23502"));
    // With a default or a nullable column, new users are inserted.
    sqlx::raw_sql("ALTER TABLE users ALTER email DROP NOT NULL")
        .execute(&mut *connection)
        .await
        .expect("a change");
    ensure_user_exists(&mut connection, Uuid::new_v4()).await.expect("a new user");
    sqlx::raw_sql(
        "INSERT INTO lectures (course_id, panopto_url, stream_url) VALUES (gen_random_uuid(), '', '');
         INSERT INTO user_lectures SELECT users.id, lectures.id FROM users, lectures;
         DELETE FROM users",
    )
    .execute(&mut *connection)
    .await
    .expect("links that cascade");
}

#[tokio::test]
async fn a_users_table_that_cannot_be_a_target_is_refused_in_words() {
    for table in [
        "CREATE TABLE users (id bigint PRIMARY KEY)",
        "CREATE TABLE users (id uuid NOT NULL)",
        "CREATE TABLE users (user_id uuid PRIMARY KEY)",
        "CREATE TABLE users (id uuid, tenant int, PRIMARY KEY (id, tenant))",
        "CREATE VIEW users AS SELECT gen_random_uuid() AS id",
    ] {
        let database = empty().await;
        sqlx::raw_sql(table).execute(&database.pool).await.expect("a table");
        let error = migrate::run(&database.pool).await.expect_err(table);
        assert!(matches!(error, MigrateError::Failed { version: 3, .. }), "{error}");
        assert!(error.to_string().contains("\"users\" cannot be adopted"), "{error}");
        // Earlier migrations stay, none is half-applied, and the lock is free.
        let rows = migrate::status(&database.pool).await.expect("a status");
        let ours = |row: &migrate::Row| row.table == migrate::TABLE;
        assert!(
            rows.iter().all(|row| (row.state == State::Applied) == (ours(row) && row.version < 3)),
            "{rows:?}"
        );
        let again = migrate::run(&database.pool).await.expect_err("the same again");
        assert_eq!(again.to_string(), error.to_string());
    }
}

#[tokio::test]
async fn migrating_twice_or_at_once_is_migrating_once() {
    let database = empty().await;
    let known = migrate::status(&database.pool).await.expect("a status");
    assert!(
        !known.is_empty() && known.iter().all(|row| row.state == State::Pending && row.applied_at.is_none())
    );
    let ledger: bool = sqlx::query_scalar(
        "SELECT to_regclass('_sqlx_migrations') IS NOT NULL OR to_regclass('queue.migrations') IS NOT NULL",
    )
    .fetch_one(&database.pool)
    .await
    .expect("a look");
    assert!(!ledger, "a status changes nothing");

    let mut runs = JoinSet::new();
    for _ in 0..4 {
        // Each with its own connections, like another process.
        let url = database.url.clone();
        runs.spawn(async move {
            let pool = PgPool::connect(&url).await.expect("a pool");
            migrate::run(&pool).await.expect("a migration").applied.len()
        });
    }
    let mut applied = runs.join_all().await;
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, known.len()]);

    assert_eq!(migrate::run(&database.pool).await.expect("nothing to do").applied, []);
    let rows = migrate::status(&database.pool).await.expect("a status");
    assert!(rows.iter().all(|row| row.state == State::Applied && row.applied_at.is_some()), "{rows:?}");
    let locks: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
         WHERE locktype = 'advisory' AND datname = current_database()",
    )
    .fetch_one(&database.pool)
    .await
    .expect("locks");
    assert_eq!(locks, 0);
}

#[tokio::test]
async fn a_ledger_that_disagrees_is_refused_before_anything_changes() {
    for (edit, refused, state) in [
        ("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2", "another text", State::Changed),
        (
            "UPDATE _sqlx_migrations SET success = false WHERE version = 2",
            "never finished",
            State::Incomplete,
        ),
        (
            "UPDATE _sqlx_migrations SET version = 9002, description = 'later' WHERE version = 2",
            "9002 (later)",
            State::Unknown,
        ),
        ("UPDATE queue.migrations SET checksum = '\\x00'", "another text", State::Changed),
        ("UPDATE queue.migrations SET success = false", "never finished", State::Incomplete),
        (
            "INSERT INTO queue.migrations (version, description, success, checksum, execution_time)
             VALUES (9003, 'later', true, '', 0)",
            "9003 (later)",
            State::Unknown,
        ),
    ] {
        let database = migrated().await;
        let pool = &database.pool;
        sqlx::raw_sql(edit).execute(pool).await.expect("an edit");
        // Pending migrations before and after the one that sqlx would notice.
        sqlx::raw_sql("DELETE FROM _sqlx_migrations WHERE version IN (1, 6)")
            .execute(pool)
            .await
            .expect("a gap");
        let error = migrate::run(pool).await.expect_err("a refusal").to_string();
        assert!(error.contains(refused) && error.contains("Nothing was changed"), "{error}");
        let rows = migrate::status(pool).await.expect("a status");
        assert!(rows.iter().any(|row| row.state == state), "{rows:?}");
        assert_eq!(
            rows.iter().filter(|row| row.state == State::Pending && row.version != 2).count(),
            2,
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn a_user_is_made_once_however_many_ask_at_once() {
    let database = migrated().await;
    for user in [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()] {
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let pool = database.pool.clone();
            tasks.spawn(async move {
                let mut tx = pool.begin().await.expect("a transaction");
                ensure_user_exists(&mut tx, user).await.expect("the user");
                // The others meet an uncommitted insert.
                tokio::time::sleep(Duration::from_millis(5)).await;
                tx.commit().await.expect("a commit");
            });
        }
        tasks.join_all().await;
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM users WHERE id = $1")
            .bind(user)
            .fetch_one(&database.pool)
            .await
            .expect("a count");
        assert_eq!(rows, 1);
    }
}
