//! Promise 16: finished and scheduled jobs do not increase what a statement reads.

use std::collections::BTreeMap;

use bedel_postgres::testing::{TestDatabase, database};
use bedel_queue::Queue;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqlSafeStr, SqlStr};

use crate::sql::statements;
use crate::support::{Act, Bench, eventually, options, schema, step};

/// One id for every parameter: a running job, its lease, its worker and its subject.
const ID: &str = "'00000000-0000-4000-8000-000000000001'";

/// Rows of both databases: a worker, a running job, a due one and one of each final state.
pub const FEW: &str = "
    INSERT INTO queue.workers (id, name) VALUES ('00000000-0000-4000-8000-000000000001', 'w');
    INSERT INTO queue.jobs (id, lease, worker_id, subject, attempted_at, attempt, state, kind, args, give_up_at, give_up_after,
                            max_attempts, max_crashes)
    SELECT id, id, id, id, now(), 9, 'running', 'step', '{\"act\": \"Succeed\"}', now() + '1 day', '1 day', 5, 3
      FROM queue.workers;
    INSERT INTO queue.jobs (kind, args, give_up_at, give_up_after, max_attempts, max_crashes)
    SELECT 'step', '{\"act\": \"Succeed\"}', now() + '1 day', '1 day', 5, 3 FROM generate_series(1, 10);
    INSERT INTO queue.jobs (state, finalized_at, attempt, lease, kind, args, give_up_at, give_up_after, max_attempts,
                            max_crashes)
    SELECT state, now(), 1, gen_random_uuid(), 'step', '{\"act\": \"Succeed\"}', now(), '1 day', 5, 3
      FROM unnest('{completed,discarded,cancelled}'::queue.job_state[]) AS state;
    UPDATE queue.counted_minutes SET until = until - interval '1 hour';
    INSERT INTO queue.schedules (name, cron, last_tick) VALUES ('step', '* * * * *', now());";

/// 200,000 jobs that ended within the last days, some of them with failed attempts, and 100,000 scheduled for
/// later.
const MANY: &str = "
    INSERT INTO queue.jobs (state, finalized_at, created_at, run_at, attempt, attempted_at, lease, kind, args, give_up_at,
                            give_up_after, max_attempts, max_crashes, subject, worker)
    SELECT (CASE n % 20 WHEN 0 THEN 'discarded' WHEN 1 THEN 'cancelled' ELSE 'completed' END)::queue.job_state,
           now() - n * interval '2 s', now() - n * interval '2 s', now() - n * interval '2 s', 1, now(),
           gen_random_uuid(), 'step', '{\"act\": \"Succeed\"}', now(), '1 day', 5, 3, gen_random_uuid(), 'w'
      FROM generate_series(1, 200000) AS n;
    INSERT INTO queue.failed_attempts (job_id, attempt, class, message)
    SELECT id, 1, 'network', 'the line is down' FROM queue.jobs WHERE state = 'discarded';
    INSERT INTO queue.jobs (run_at, kind, args, give_up_at, give_up_after, max_attempts, max_crashes, unique_key, priority,
                            subject)
    SELECT now() + interval '1 hour' + n * interval '1 s', 'step', '{\"act\": \"Succeed\"}', now() + '9 days', '1 day', 5, 3,
           'later:' || n, 1 + n % 4, gen_random_uuid()
      FROM generate_series(1, 100000) AS n;";

/// 100,000 jobs of the running job's subject that ended.
const HISTORY: &str = "
    INSERT INTO queue.jobs (state, finalized_at, attempt, lease, subject, kind, args, give_up_at, give_up_after,
                            max_attempts, max_crashes)
    SELECT 'completed', now(), 1, gen_random_uuid(), '00000000-0000-4000-8000-000000000001', 'step',
           '{\"act\": \"Succeed\"}', now(), '1 day', 5, 3
      FROM generate_series(1, 100000);";

pub async fn filled(template: &str, fill: &'static [&'static str]) -> Bench {
    let TestDatabase { pool, url, .. } = database(template, async |pool: PgPool| {
        schema(&pool).await;
        for statements in fill {
            sqlx::raw_sql(*statements).execute(&pool).await.unwrap();
        }
        sqlx::raw_sql("VACUUM ANALYZE").execute(&pool).await.unwrap();
    })
    .await;
    Bench { queue: Queue::new(pool.clone()), pool, url }
}

pub async fn empty() -> Bench {
    filled("queue-few", &[FEW]).await
}

async fn full() -> Bench {
    filled("queue-many", &[MANY, FEW]).await
}

/// A list, a count or a walk: all read a bounded number of jobs.
fn is_scan(statement: &str) -> bool {
    ["list", "count", "walk"].iter().any(|name| statement.starts_with(&format!("-- inspect::{name}")))
}

/// A value for a parameter, by its type. Scans stop at 20 rows.
fn value(of: &str, statement: &str) -> String {
    match of {
        // No bounds: the newest page, or the first step of a walk.
        "uuid" | "timestamp with time zone" if is_scan(statement) => "NULL".to_owned(),
        "uuid" => ID.to_owned(),
        // One per claimed job.
        "uuid[]" if statement.starts_with("-- claim\n") => format!("array_fill({ID}::uuid, ARRAY[20])"),
        "uuid[]" => format!("ARRAY[{ID}]::uuid[]"),
        "text" => "'step'".to_owned(),
        // The tails of new ids.
        "text[]" if statement.starts_with("-- enqueue_many") => "ARRAY['70008000000000000000']".to_owned(),
        "text[]" => "ARRAY['step']".to_owned(),
        "smallint" | "queue.priority" => "2".to_owned(),
        "smallint[]" => "ARRAY[2]::smallint[]".to_owned(),
        "integer" | "queue.budget" => "4".to_owned(),
        "integer[]" => "ARRAY[4]".to_owned(),
        "bigint" => "20".to_owned(),
        "bigint[]" => "ARRAY[20]::bigint[]".to_owned(),
        "real" | "double precision" => "2592000".to_owned(), // 30 days: longer than any job here is kept
        "real[]" => "ARRAY[0.5]::real[]".to_owned(),
        "double precision[]" => "ARRAY[0.5]::float8[]".to_owned(),
        "boolean" => "true".to_owned(),
        "boolean[]" => "ARRAY[true]".to_owned(),
        "jsonb" => "'{}'".to_owned(),
        "jsonb[]" => "ARRAY['{}']::jsonb[]".to_owned(),
        "interval" => "interval '30 days'".to_owned(),
        "interval[]" => "ARRAY[interval '30 days']".to_owned(),
        "timestamp with time zone[]" => "NULL".to_owned(), // a claim that looks from the start
        "timestamp with time zone" => "now()".to_owned(),
        "queue.job_state" => "'completed'".to_owned(),
        other => panic!("a parameter of type {other} needs a value here"),
    }
}

fn safe(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}

/// The plan of the statement as it ran, with its values passed through `change`. Its writes are rolled back.
async fn ran(
    connection: &mut PgConnection,
    statement: &str,
    change: impl Fn(&str, String) -> String,
) -> Value {
    sqlx::raw_sql(safe(format!("BEGIN; PREPARE s AS {statement}"))).execute(&mut *connection).await.unwrap();
    let types: Vec<String> = sqlx::query_scalar(
        "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 's'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let values: Vec<String> = types.iter().map(|of| change(of, value(of, statement))).collect();
    let arguments = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE s{arguments}");
    let name = statement.lines().next().unwrap_or_default();
    let Json(mut plan): Json<Value> = sqlx::query_scalar(safe(explain))
        .fetch_one(&mut *connection)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    sqlx::raw_sql("ROLLBACK; DEALLOCATE s").execute(connection).await.unwrap();
    plan[0]["Plan"].take()
}

/// The pages of shared memory that the statement touches, and its plan.
pub async fn pages(connection: &mut PgConnection, statement: &str) -> (i64, String) {
    let plan = ran(connection, statement, |_, value| value).await;
    let count = |key: &str| plan[key].as_i64().unwrap();
    (count("Shared Hit Blocks") + count("Shared Read Blocks"), plan.to_string())
}

/// The most rows of `queue.jobs` that one scan of a plan read.
fn most_looked_at(plan: &Value) -> f64 {
    let count = |key: &str| plan[key].as_f64().unwrap_or(0.0);
    let here = match plan["Relation Name"].as_str() {
        Some("jobs") => (count("Actual Rows") + count("Rows Removed by Filter")) * count("Actual Loops"),
        _ => 0.0,
    };
    let below = plan["Plans"].as_array().into_iter().flatten().map(most_looked_at);
    below.fold(here, f64::max)
}

/// Each statement of the crate that reads or writes rows, with the pages it touches.
async fn pages_by_statement(bench: &Bench, plans: &str) -> BTreeMap<String, (i64, String)> {
    let mut connection = bench.pool.acquire().await.unwrap();
    sqlx::raw_sql(safe(format!("SET plan_cache_mode = {plans}"))).execute(&mut *connection).await.unwrap();
    let mut found = BTreeMap::new();
    for (_, statement) in statements() {
        let (name, body) = statement.split_once('\n').unwrap();
        let verb = body.split_whitespace().next().unwrap_or_default();
        if ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].contains(&verb) {
            // A session's first run of a statement reads catalogues too.
            pages(&mut connection, &statement).await;
            found.insert(name.to_owned(), pages(&mut connection, &statement).await);
        }
    }
    found
}

#[tokio::test]
async fn no_statement_reads_more_because_of_jobs_that_ended_or_wait_for_later() {
    let (empty, full) = (empty().await, full().await);
    // With a generic plan, as for statements used often, and with one for these parameters.
    for plans in ["force_generic_plan", "force_custom_plan"] {
        let few = pages_by_statement(&empty, plans).await;
        let many = pages_by_statement(&full, plans).await;
        assert!(many.len() >= 30, "only {} statements found", many.len());
        for (name, (pages, plan)) in &many {
            let small = few[name].0;
            // Deeper indexes cost two pages per lookup, lists 20 rows on separate pages. A walk along the
            // jobs scheduled for later would cost 400, one along the table 8,000.
            assert!(
                *pages <= 3 * small + 100,
                "{name}, {plans}: {pages} pages with many jobs, {small} with few\n{plan}"
            );
        }
    }
}

/// 60,000 jobs that were claimed and ended. An old snapshot keeps the index entries of each of their states.
const RAN: &str = "
    INSERT INTO queue.jobs (kind, args, give_up_at, give_up_after, max_attempts, max_crashes, subject, group_key)
    SELECT 'step', '{\"act\": \"Succeed\"}', now() + '1 day', '1 day', 5, 3, gen_random_uuid(), CASE n % 2 WHEN 1 THEN 'step' END
      FROM generate_series(1, 60000) AS n;
    UPDATE queue.jobs SET state = 'running', attempt = 1, attempted_at = now(), lease = gen_random_uuid(),
                          worker_id = md5((extract(epoch FROM run_at)::bigint % 500)::text)::uuid
     WHERE state = 'available';
    UPDATE queue.jobs SET state = 'completed', finalized_at = now(), worker_id = NULL WHERE state = 'running'";

/// Statements that walk what an old snapshot keeps. Claims of a backlog resume where the last one ended. Repairs are rare and
/// patient. Groups are walked while a breaker is open. The others answer people, monitors and tests.
const WALK_OLD_ENTRIES: [&str; 14] = [
    "claim",
    "claim::next_due",
    "drain::is_idle",
    "fleet::depths",
    "fleet::workers",
    "inspect::count_ended",
    "inspect::count_running",
    "inspect::list_ended",
    "inspect::list_running",
    "inspect::list_waiting",
    "open_groups::find",
    "queues::list",
    "rescue::ownerless_workers",
    "watch::watch",
];

#[tokio::test]
async fn no_frequent_statement_reads_more_because_an_old_snapshot_keeps_jobs_that_ran() {
    let (empty, full) = (empty().await, filled("queue-few", &[FEW]).await);
    let mut reader = full.pool.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        .execute(&mut *reader)
        .await
        .unwrap();
    sqlx::raw_sql("UPDATE queue.jobs SET run_at = run_at + interval '1 day' WHERE state = 'available'")
        .execute(&full.pool)
        .await
        .unwrap();
    sqlx::raw_sql(RAN).execute(&full.pool).await.unwrap();
    sqlx::raw_sql("VACUUM ANALYZE").execute(&full.pool).await.unwrap();
    let few = pages_by_statement(&empty, "force_generic_plan").await;
    let many = pages_by_statement(&full, "force_generic_plan").await;
    let walk = |name: &&String| many[*name].0 > 3 * few[*name].0 + 100;
    let walks: Vec<&str> = many.keys().filter(walk).map(|name| name.trim_start_matches("-- ")).collect();
    assert_eq!(walks, WALK_OLD_ENTRIES);
    reader.rollback().await.unwrap();
}

#[tokio::test]
async fn a_list_whose_filter_matches_nothing_gives_up_after_ten_thousand_jobs() {
    let bench = full().await;
    let mut connection = bench.pool.acquire().await.unwrap();
    let scans = statements().into_iter().filter(|(_, sql)| is_scan(sql));
    let mut tried = 0;
    for (_, list) in scans {
        for plans in ["force_generic_plan", "force_custom_plan"] {
            sqlx::raw_sql(safe(format!("SET plan_cache_mode = {plans}")))
                .execute(&mut *connection)
                .await
                .unwrap();
            let plan = ran(&mut connection, &list, |of, value| match of {
                "text" => "'no such kind'".to_owned(),
                "bigint" => "10000".to_owned(),
                _ => value,
            })
            .await;
            let rows = most_looked_at(&plan);
            // One more row shows that no other job ended at the same moment as the last.
            assert!(rows <= 10_001.0, "{list}, {plans}: {rows} rows\n{plan}");
            tried += 1;
        }
    }
    assert_eq!(
        tried, 26,
        "lists and counts: newest, running, waiting, ended, of subjects, of a class; a walk"
    );
}

/// The pages of `queue.jobs` and its indexes that a real worker touches to run 40 jobs.
async fn pages_of_forty_jobs(bench: &Bench) -> i64 {
    const PAGES: &str = "SELECT (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint
                           FROM pg_statio_user_tables WHERE relid = 'queue.jobs'::regclass";
    // The running job would be rescued, since its worker does not beat.
    sqlx::raw_sql("DELETE FROM queue.jobs WHERE state = 'running'; DELETE FROM queue.workers")
        .execute(&bench.pool)
        .await
        .unwrap();
    for _ in 0..30 {
        bench.enqueue(step(Act::Succeed)).await;
    }
    // A session reports its page counts at its end at the latest.
    let others = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name <> ''";
    let flush = "SELECT count(pg_stat_force_next_flush())";
    bench.count(flush).await;
    let before = bench.count(PAGES).await;
    let victim = bench.victim().await;
    let worker = victim.worker(options(4));
    eventually("all completed", async || bench.effects("commit").await == 40).await;
    worker.stop().await;
    victim.pool.close().await;
    eventually("its sessions ended", async || bench.count(others).await == 0).await;
    bench.count(PAGES).await - before
}

#[tokio::test]
async fn a_worker_reads_no_more_in_a_full_table_than_in_an_empty_one() {
    let few = pages_of_forty_jobs(&empty().await).await;
    let many = pages_of_forty_jobs(&full().await).await;
    assert!(few > 200, "the pages are counted: {few}");
    assert!(many <= 3 * few + 2000, "{many} pages with many jobs, {few} with few");
}

#[tokio::test]
async fn the_live_jobs_of_a_subject_are_found_beside_a_hundred_thousand_that_ended() {
    let bench = filled("queue-history", &[HISTORY, FEW]).await;
    let mut connection = bench.pool.acquire().await.unwrap();
    for plans in ["force_generic_plan", "force_custom_plan"] {
        sqlx::raw_sql(safe(format!("SET plan_cache_mode = {plans}")))
            .execute(&mut *connection)
            .await
            .unwrap();
        for name in ["operate::cancel_subject", "operate::pull_forward", "inspect::live_job"] {
            let (_, statement) = statements()
                .into_iter()
                .find(|(_, sql)| sql.starts_with(&format!("-- {name}\n")))
                .unwrap_or_else(|| panic!("no statement is named {name}"));
            // A session's first run of a statement reads catalogues too.
            pages(&mut connection, &statement).await;
            let (pages, plan) = pages(&mut connection, &statement).await;
            // The subject's history is 2,900 pages.
            assert!(pages <= 100, "{name}, {plans}: {pages} pages\n{plan}");
        }
    }
}
