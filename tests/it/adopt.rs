//! Adopting a database of the backend before Bedel.

use bedel_postgres::testing::{self, TestDatabase};
use sqlx::PgPool;
use uuid::Uuid;

use crate::program::Project;

/// The tables as that backend's scripts leave them: no ledger, no trigger on courses, no foreign key for a
/// document's owner, some indexes missing.
const ORIGINAL: &str = "
    CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.updated_at = now(); RETURN NEW; END; $$;
    CREATE TYPE lecture_status AS ENUM ('pending', 'downloading', 'completed', 'failed');
    CREATE TYPE document_status AS ENUM ('uploaded', 'failed');
    CREATE TABLE users (id uuid PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE lectures (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), course_id uuid NOT NULL, panopto_session_id text,
        panopto_url text NOT NULL, stream_url text NOT NULL, title text, audio_storage_key text,
        transcript_storage_key text, duration_seconds integer, status lecture_status NOT NULL DEFAULT 'pending',
        error_message text, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (course_id, panopto_session_id));
    CREATE INDEX idx_lectures_course_id ON lectures (course_id);
    CREATE TRIGGER trg_lectures_updated_at BEFORE UPDATE ON lectures FOR EACH ROW EXECUTE FUNCTION set_updated_at();
    CREATE TABLE documents (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), course_id uuid NOT NULL, filename text NOT NULL,
        storage_key text NOT NULL, checksum text NOT NULL, mime_type text NOT NULL, size_bytes bigint NOT NULL,
        page_count integer, description text, status document_status NOT NULL DEFAULT 'uploaded',
        created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
    ALTER TABLE documents ADD COLUMN owner_id uuid NOT NULL;
    ALTER TABLE documents ADD CONSTRAINT uq_owner UNIQUE (owner_id, course_id, checksum);
    CREATE TABLE user_lectures (
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        lecture_id uuid NOT NULL REFERENCES lectures (id) ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (user_id, lecture_id));
    CREATE TABLE courses (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), code text NOT NULL, title text NOT NULL, instructor text,
        is_official boolean NOT NULL DEFAULT false, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), CONSTRAINT uq_courses_code UNIQUE (code));
    CREATE TABLE user_courses (
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        course_id uuid NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (user_id, course_id));";

/// Rows in every state: one each, but three lectures in progress. The last one has no user.
const ROWS: &str = "
    INSERT INTO users (id) VALUES ('00000000-0000-4000-8000-000000000001');
    INSERT INTO lectures (course_id, panopto_session_id, panopto_url, stream_url, title, status, audio_storage_key)
    SELECT '00000000-0000-4000-8000-00000000000c', n::text, 'https://t.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id=' || n,
           'https://cdn.example/a.mp4', title, status::lecture_status, key
      FROM (VALUES (1, 'waiting', 'pending', NULL), (2, 'in progress', 'downloading', NULL), (3, 'with audio', 'downloading', 'audio/x.m4a'),
                   (4, 'done', 'completed', NULL), (5, 'failed', 'failed', NULL), (6, 'unlinked', 'pending', NULL))
        AS row (n, title, status, key);
    INSERT INTO user_lectures (user_id, lecture_id)
    SELECT users.id, lectures.id FROM users, lectures WHERE title <> 'unlinked';
    INSERT INTO courses (code, title, is_official) VALUES ('CSC 173', 'T', true);
    INSERT INTO user_courses (user_id, course_id) SELECT users.id, courses.id FROM users, courses;
    INSERT INTO documents (owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
    SELECT id, gen_random_uuid(), 'a.pdf', 'documents/a.pdf', 'c', 'application/pdf', 1 FROM users;";

async fn original(more: &'static [&'static str]) -> TestDatabase {
    let database = testing::database("empty", async |_: PgPool| {}).await;
    for statements in [ORIGINAL, ROWS].iter().chain(more) {
        sqlx::raw_sql(*statements).execute(&database.pool).await.unwrap();
    }
    database
}

async fn count(database: &TestDatabase, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&database.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_keeps_rows_adds_what_is_missing_and_restarts_stuck_lectures() {
    let database = original(&[]).await;
    let project = Project::with_database(&database);
    let before: Vec<String> = sqlx::query_scalar("SELECT lectures::text FROM lectures ORDER BY id")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    // Without `--adopt` it is refused, since the tables exist.
    assert_ne!(project.run(&["migrate"]).code, 0);
    let said = project.run(&["migrate", "--adopt", "--per-minute", "20"]).ok();
    assert!(said.contains("adopted") && said.contains("3 lectures start again"), "{said}");
    assert_eq!(project.run(&["migrate", "--status"]).code, 0);

    let after: Vec<String> = sqlx::query_scalar("SELECT lectures::text FROM lectures ORDER BY id")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    assert_eq!(before, after);
    for (what, expected, sql) in [
        (
            "foreign keys that are proven",
            5,
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND connamespace = 'public'::regnamespace AND conrelid IN ('documents'::regclass, 'user_lectures'::regclass, 'user_courses'::regclass)",
        ),
        ("triggers", 4, "SELECT count(*) FROM pg_trigger WHERE tgfoid = 'set_updated_at()'::regprocedure"),
        (
            "indexes",
            5,
            "SELECT count(*) FROM pg_class WHERE relname IN ('idx_lectures_course_id', 'idx_documents_course_id', 'idx_documents_checksum', 'idx_user_lectures_lecture_id', 'idx_user_courses_course_id')",
        ),
        ("jobs", 3, "SELECT count(*) FROM queue.jobs"),
    ] {
        assert_eq!(count(&database, sql).await, expected, "{what}");
    }
    let jobs: Vec<(String, i64)> = sqlx::query_as(
        "SELECT kind, extract(epoch FROM run_at - created_at)::bigint FROM queue.jobs ORDER BY run_at",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert_eq!(jobs.iter().map(|(_, seconds)| *seconds).collect::<Vec<_>>(), [0, 3, 6], "twenty in a minute");
    assert_eq!(
        jobs.iter().filter(|(kind, _)| kind == "probe").count(),
        1,
        "stored audio is not fetched again"
    );
    let of: Vec<String> = sqlx::query_scalar(
        "SELECT title FROM lectures JOIN queue.jobs ON subject = lectures.id ORDER BY title",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert_eq!(of, ["in progress", "waiting", "with audio"]);

    // Adopting twice changes nothing.
    assert!(project.run(&["migrate", "--adopt"]).ok().contains("0 lectures start again"));
    assert_eq!(count(&database, "SELECT count(*) FROM queue.jobs").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mismatch_is_listed_and_nothing_changes() {
    let database = original(&[
        "ALTER TABLE lectures DROP COLUMN duration_seconds",
        "ALTER TABLE documents ALTER COLUMN size_bytes TYPE integer",
        "ALTER TYPE document_status ADD VALUE 'lost'",
        "ALTER TABLE courses DROP CONSTRAINT uq_courses_code",
    ])
    .await;
    let refused = Project::with_database(&database).run(&["migrate", "--adopt"]);
    assert_eq!(refused.code, 1);
    for problem in [
        "type document_status: has (uploaded, failed, lost), must have (uploaded, failed)",
        "lectures.duration_seconds: is missing, must be integer",
        "documents.size_bytes: is integer, must be bigint",
        "courses: (code) must be unique",
    ] {
        assert!(refused.err.contains(problem), "{problem} in {}", refused.err);
    }
    let added =
        "SELECT count(*) FROM pg_class WHERE relname IN ('_sqlx_migrations', 'idx_documents_checksum')";
    assert_eq!(count(&database, added).await, 0);

    let empty = testing::database("empty", async |_: PgPool| {}).await;
    let refused = Project::with_database(&empty).run(&["migrate", "--adopt"]);
    assert!(refused.err.contains("table lectures: is missing"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_break_a_foreign_key_are_listed_and_new_ones_refused() {
    let database = original(&[
        "DROP TABLE user_courses",
        "INSERT INTO documents (owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
         SELECT gen_random_uuid(), gen_random_uuid(), 'b.pdf', 'documents/b.pdf', 'd', 'application/pdf', 1",
    ])
    .await;
    let said = Project::with_database(&database).run(&["migrate", "--adopt"]).ok();
    assert!(said.contains("rows break a foreign key") && said.contains("documents"), "{said}");
    let stranger = sqlx::query(
        "INSERT INTO documents (owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
         VALUES ($1, $1, 'c.pdf', 'documents/c.pdf', 'e', 'application/pdf', 1)",
    );
    let refused = stranger.bind(Uuid::new_v4()).execute(&database.pool).await.unwrap_err();
    assert!(refused.as_database_error().is_some_and(|error| error.is_foreign_key_violation()), "{refused}");
    // The missing table was added.
    assert_eq!(count(&database, "SELECT count(*) FROM user_courses").await, 0);
}
