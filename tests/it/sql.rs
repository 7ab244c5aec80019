//! Statements of the program and its jobs: PostgreSQL prepares each, and none can only be answered by reading a whole
//! table that grows.

use std::path::{Path, PathBuf};

use bedel_test_support::named_statements;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::schema::migrated;

/// Tables with a row per user, session, lecture, document, job or message. Others stay small: API tokens are made by hand.
const GROWING: [&str; 18] = [
    "users",
    "lectures",
    "user_lectures",
    "lecture_streams",
    "lecture_options",
    "lecture_callbacks",
    "documents",
    "user_courses",
    "transcript_index",
    "transcript_passages",
    "sessions",
    "webhooks",
    "callback_secrets",
    "webhook_messages",
    "webhook_deliveries",
    "audit_log",
    "jobs",
    "failed_attempts",
];

/// SQLSTATE of a syntax error.
const SYNTAX_ERROR: &str = "42601";

/// Statements of the program and its jobs, except those that are put together at run time.
fn statements() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = ["src", "jobs/src"].into_iter().flat_map(|folder| named_statements(&root.join(folder)));
    // Taking over an earlier database reads it once.
    found
        .filter(|(file, sql)| {
            sql.contains('\n') && !sql.contains(['{', '\\']) && !file.ends_with("migrate/adopt.rs")
        })
        .collect()
}

/// The plan for any values, without scans of whole tables where an index can serve.
async fn plan(connection: &mut PgConnection, statement: &str) -> Result<String, sqlx::Error> {
    let is_used = |number: &usize| statement.contains(&format!("${number}"));
    let values = vec!["NULL"; (1..100).take_while(is_used).count()];
    let execute = if values.is_empty() { "one".to_owned() } else { format!("one({})", values.join(", ")) };
    sqlx::raw_sql(AssertSqlSafe(format!("PREPARE one AS {statement}"))).execute(&mut *connection).await?;
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN EXECUTE {execute}")))
        .persistent(false)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::raw_sql("DEALLOCATE one").execute(connection).await?;
    Ok(lines.join("\n"))
}

#[tokio::test]
async fn no_statement_has_to_read_a_whole_table_that_grows() {
    let database = migrated().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let settings = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off";
    sqlx::raw_sql(settings).execute(&mut *connection).await.unwrap();
    let mut planned = 0;
    let mut scans = Vec::new();
    for (file, statement) in statements() {
        let name = statement.lines().next().unwrap_or_default().to_owned();
        let plan = match plan(&mut connection, &statement).await {
            Ok(plan) => plan,
            // A part of a statement.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(SYNTAX_ERROR) => continue,
            Err(error) => panic!("{}: {name}: {error}", file.display()),
        };
        planned += 1;
        let is_scan = |table: &&&str| {
            plan.lines().any(|line| {
                line.contains("Seq Scan on ") && line.split_whitespace().any(|word| word == **table)
            })
        };
        scans.extend(
            GROWING
                .iter()
                .filter(is_scan)
                .map(|table| format!("{name} reads {table}: {}\n{plan}", file.display())),
        );
    }
    assert!(planned >= 100, "only {planned} statements found: does the search still work?");
    assert!(scans.is_empty(), "{}", scans.join("\n"));
}
