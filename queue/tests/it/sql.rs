//! Every statement of the crate has a name, and PostgreSQL prepares it.

use std::path::Path;

use bedel_test_support::named_statements;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::support::bench;

/// The statement with its terms replaced by what `sql/terms/` says. A term may use others.
fn expand(mut statement: String) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/terms");
    let mut terms = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{{{}}}", path.file_stem().unwrap().to_str().unwrap());
        terms.push((name, std::fs::read_to_string(&path).unwrap()));
    }
    while let Some((name, term)) = terms.iter().find(|(name, _)| statement.contains(name)) {
        statement = statement.replace(name, term.trim_end());
    }
    statement
}

/// Every statement of the crate with its file: those in `sql/`, and those in `src/`.
pub fn statements() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let literals = named_statements(&root.join("src")).into_iter();
    let mut found: Vec<_> =
        literals.map(|(file, statement)| (file.display().to_string(), statement)).collect();
    for entry in std::fs::read_dir(root.join("sql")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let (text, file) = (std::fs::read_to_string(&path).unwrap(), path.display().to_string());
            assert!(text.starts_with("-- "), "{file} does not begin with its statement's name");
            found.push((file, expand(text)));
        }
    }
    found
}

#[tokio::test]
async fn the_claim_never_scans_the_table_for_any_estimate() {
    let bench = bench().await;
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (kind, args, state, lease, finalized_at, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'step', '{}', 'completed', gen_random_uuid(), now(), now(), '1 day', 1, 1 FROM generate_series(1, 20000);
         INSERT INTO queue.jobs (kind, args, run_at, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'step', '{}', now() + (n % 2) * interval '1 day', now(), '1 day', 1, 1 FROM generate_series(1, 10000) AS n;
         ANALYZE queue.jobs",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let (_, claim) = statements().into_iter().find(|(_, sql)| sql.starts_with("-- claim\n")).unwrap();
    let mut connection = bench.pool.acquire().await.unwrap();
    let prepare = format!(
        "PREPARE c (uuid, text, boolean, text[], text[], integer[], integer[], timestamptz[], timestamptz[], timestamptz[], timestamptz[], uuid[], boolean[], jsonb, boolean) AS {claim}"
    );
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut *connection).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(prepare).into_sql_str()).execute(&mut *connection).await.unwrap();
    let plan: Vec<String> =
        sqlx::query_scalar("EXPLAIN EXECUTE c (gen_random_uuid(), 'w', true, ARRAY['step'], ARRAY['default'], ARRAY[4], ARRAY[2], NULL, NULL, NULL, NULL, ARRAY[gen_random_uuid()], ARRAY[true], NULL, true)")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("jobs_claim") && !plan.contains("Seq Scan on jobs"), "{plan}");
}

#[tokio::test]
async fn every_statement_is_named_and_prepares() {
    let bench = bench().await;
    let statements = statements();
    assert!(
        statements.len() >= 30,
        "only {} statements found: does the search still work?",
        statements.len()
    );
    for (file, sql) in statements {
        let mut connection = bench.pool.acquire().await.unwrap();
        let name = sql.lines().next().unwrap().to_owned();
        connection
            .prepare(AssertSqlSafe(sql).into_sql_str())
            .await
            .unwrap_or_else(|error| panic!("{file}: {name}: {error}"));
    }
}
