//! Checks what the process's role may do, before it starts: a missing grant does not come back by itself.

use sqlx::PgConnection;

/// This program's tables. Workers and APIs read and write all of them.
const TABLES: [&str; 23] = [
    "api_tokens",
    "audit_log",
    "bedel_installation",
    "bulk_operations",
    "callback_secrets",
    "course_defaults",
    "courses",
    "documents",
    "lecture_callbacks",
    "lecture_options",
    "lecture_streams",
    "lectures",
    "sessions",
    "sign_in_codes",
    "transcript_index",
    "transcript_passages",
    "user_courses",
    "user_lectures",
    "users",
    "webhook_deliveries",
    "webhook_messages",
    "webhooks",
    "_sqlx_migrations",
];

/// The queue's tables.
const QUEUE_TABLES: [&str; 9] = [
    "breakers",
    "counted_minutes",
    "failed_attempts",
    "jobs",
    "migrations",
    "minutes",
    "queues",
    "schedules",
    "workers",
];

/// The queue's functions that its statements call. The other ones are for producers in SQL.
const QUEUE_FUNCTIONS: [&str; 4] = ["cancel", "enqueue", "new_id", "retry"];

/// The grants that the connection's role lacks, as statements for the owner. Empty before the first migration.
///
/// The catalog is read without `to_regclass`, which fails without USAGE on the schema.
pub(super) async fn missing(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "-- grants::missing
         WITH schemas AS (
             SELECT oid, nspname AS name, has_schema_privilege(oid, 'USAGE') AS usable FROM pg_namespace
              WHERE nspname IN ('queue', coalesce(current_schema(), 'public'))
         ), tables AS (
             SELECT tables.oid, schemas.name AS schema, relname AS name,
                    relname IN ('migrations', '_sqlx_migrations') AS is_ledger
               FROM pg_class AS tables JOIN schemas ON schemas.oid = relnamespace
              WHERE relkind IN ('r', 'p') AND relname = ANY (CASE schemas.name WHEN 'queue' THEN $2::text[] ELSE $1::text[] END)
         ), lacking AS (
             SELECT tables.*, string_agg(wanted, ', ' ORDER BY place) AS privileges
               FROM tables
              CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS w (wanted, place)
              WHERE NOT has_table_privilege(tables.oid, wanted) AND (NOT is_ledger OR wanted = 'SELECT')
              GROUP BY tables.oid, schema, name, is_ledger
         )
         SELECT format('GRANT USAGE ON SCHEMA %I TO %I;', name, current_user) FROM schemas WHERE NOT usable
          UNION ALL
         SELECT format('GRANT %s ON %I.%I TO %I;', privileges, schema, name, current_user) FROM lacking
          UNION ALL
         SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I;', functions.oid::regprocedure, current_user)
           FROM pg_proc AS functions JOIN schemas ON schemas.oid = pronamespace
          WHERE schemas.name = 'queue' AND schemas.usable AND proname = ANY ($3::text[]) AND NOT has_function_privilege(functions.oid, 'EXECUTE')",
    )
    .bind(TABLES)
    .bind(QUEUE_TABLES)
    .bind(QUEUE_FUNCTIONS)
    .fetch_all(connection)
    .await
}
