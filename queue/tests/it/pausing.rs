//! Queues: pause, resume, and what an operator sees of them.

use std::time::Duration;

use bedel_queue::{pause, queues, resume};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr};

use crate::sql::statements;
use crate::support::{Act, Bench, bench, options, step};

#[tokio::test]
async fn pausing_lets_running_attempts_go_on_and_claims_nothing_new() {
    let bench = bench().await;
    let running = bench.enqueue(step(Act::Sleep(800))).await.id;
    let worker = bench.worker(options(4));
    bench.until(running, "running").await;
    bench.paused("default").await;
    let held = [bench.enqueue(step(Act::Succeed)).await.id, bench.enqueue(step(Act::Succeed)).await.id];
    bench.queue.wake();
    bench.until(running, "completed").await;
    for id in held {
        assert_eq!(bench.counters(id).await, (0, 0, 0), "never claimed");
    }
    bench.resumed("default").await;
    for id in held {
        bench.until(id, "completed").await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_resume_wakes_workers_when_it_commits_and_where_there_was_a_pause() {
    let bench = bench().await;
    bench.paused("default").await;
    bench.paused("resumed before").await;
    bench.resumed("resumed before").await;
    let mut listener = PgListener::connect_with(&bench.pool).await.unwrap();
    listener.listen("bedel_queue").await.unwrap();
    bench.resumed("resumed before").await;
    bench.resumed("never paused").await;
    let mut tx = bench.pool.begin().await.unwrap();
    resume(&mut tx, "default").await.unwrap();
    sqlx::query("SELECT pg_notify('bedel_queue', 'meanwhile')").execute(&bench.pool).await.unwrap();
    tx.commit().await.unwrap();
    for heard in ["meanwhile", ""] {
        let next = tokio::time::timeout(Duration::from_secs(10), listener.recv()).await;
        assert_eq!(next.expect("a notification").unwrap().payload(), heard);
    }
}

#[tokio::test]
async fn a_pause_is_part_of_its_transaction_and_keeps_its_first_time() {
    let bench = bench().await;
    let mut connection = bench.pool.acquire().await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    pause(&mut tx, "media").await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(queues(&mut connection).await.unwrap(), []);

    pause(&mut connection, "media").await.unwrap();
    let first = queues(&mut connection).await.unwrap();
    assert_eq!((first.len(), first[0].name.as_str()), (1, "media"));
    assert!(first[0].paused_at.is_some());
    pause(&mut connection, "media").await.unwrap();
    assert_eq!(queues(&mut connection).await.unwrap(), first);
    resume(&mut connection, "media").await.unwrap();
    resume(&mut connection, "media").await.unwrap();
    let resumed = queues(&mut connection).await.unwrap();
    assert_eq!(resumed[0].paused_at, None);
    let mut tx = connection.begin().await.unwrap();
    queues(&mut tx).await.unwrap();
    let jit: String = sqlx::query_scalar("SHOW jit").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(jit, "on", "the caller's setting is left alone");
    tx.commit().await.unwrap();
    resume(&mut connection, "never-paused").await.unwrap();
    assert_eq!(queues(&mut connection).await.unwrap(), resumed);
}

/// Jobs written by hand: `count` of `kind` in `queue`, due from an hour ago on, a minute apart.
const FILL: &str = "INSERT INTO queue.jobs (kind, queue, priority, args, run_at, crashes, attempt, give_up_at, give_up_after, max_attempts,
                                            max_crashes)
     SELECT $1, $2, $3, '{}', now() - interval '1 hour' + n * interval '1 minute', $4, $4, now(), '1 day', 1, 3
       FROM generate_series(1, $5) AS n";
const GROUP: &str = "UPDATE queue.jobs SET group_key = 'g' || right(id::text, 1) WHERE kind = $1";

async fn fill(bench: &Bench, kind: &str, queue: &str, priority: i16, crashes: i32, count: i32) {
    sqlx::query(FILL)
        .bind(kind)
        .bind(queue)
        .bind(priority)
        .bind(crashes)
        .bind(count)
        .execute(&bench.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn queues_are_counted_by_queue_over_all_kinds_and_priorities() {
    let bench = bench().await;
    fill(&bench, "a", "one", 1, 0, 3).await;
    fill(&bench, "a", "two", 2, 0, 4).await;
    fill(&bench, "b", "one", 4, 0, 5).await;
    fill(&bench, "c", "one", 2, 1, 6).await;
    fill(&bench, "grouped", "one", 2, 0, 7).await;
    fill(&bench, "z", "one", 2, 0, 1).await;
    sqlx::query(GROUP).bind("grouped").execute(&bench.pool).await.unwrap();
    fill(&bench, "d", "full", 3, 0, 10_001).await;
    fill(&bench, "d", "full", 4, 0, 1).await;
    let running = bench.enqueue(step(Act::Hang)).await.id;
    let worker = bench.worker(options(1));
    bench.until(running, "running").await;
    bench.paused("two").await;
    bench.paused("empty").await;

    let mut connection = bench.pool.acquire().await.unwrap();
    let seen = queues(&mut connection).await.unwrap();
    let counts: Vec<_> = seen
        .iter()
        .map(|queue| (queue.name.as_str(), queue.paused_at.is_some(), queue.available, queue.running))
        .collect();
    assert_eq!(
        counts,
        [
            ("default", false, 0, 1),
            ("empty", true, 0, 0),
            ("full", false, 10_000, 0),
            ("one", false, 22, 0),
            ("two", true, 4, 0),
        ]
    );
    let ages: Vec<Option<f64>> = seen
        .iter()
        .map(|queue| queue.oldest_run_at.map(|at| (seen[4].oldest_run_at.unwrap() - at).as_seconds_f64()))
        .collect();
    assert!(ages[0].is_none() && ages[1].is_none(), "{ages:?}");
    assert!(ages[3].unwrap().abs() < 30.0, "{ages:?}");
    worker.stop().await;
}

#[tokio::test]
async fn neither_a_count_nor_a_look_of_a_drain_scans_the_table() {
    let bench = bench().await;
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (kind, args, state, finalized_at, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'step', '{}', 'completed', now(), now(), '1 day', 1, 1 FROM generate_series(1, 20000)",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    fill(&bench, "step", "default", 2, 0, 10_000).await;
    fill(&bench, "grouped", "default", 2, 0, 10_000).await;
    sqlx::query(GROUP).bind("grouped").execute(&bench.pool).await.unwrap();
    sqlx::raw_sql("VACUUM ANALYZE queue.jobs").execute(&bench.pool).await.unwrap();
    let counts = statement("-- queues::list\n");
    let plan = generic_plan(&bench, "bigint", &counts, "100").await;
    assert!(plan.contains("on jobs") && !plan.contains("Seq Scan on jobs"), "{plan}");
    let look = statement("-- drain::is_idle\n");
    let arguments = "ARRAY['step', 'other'], ARRAY['default', 'default'], ARRAY[false, true]";
    let plan = generic_plan(&bench, "text[], text[], boolean[]", &look, arguments).await;
    assert!(plan.contains("on jobs") && !plan.contains("Seq Scan on jobs"), "{plan}");
}

fn statement(name: &str) -> String {
    statements().into_iter().find(|(_, sql)| sql.starts_with(name)).unwrap().1
}

/// What the planner does where it knows nothing of the parameters.
async fn generic_plan(bench: &Bench, parameters: &str, sql: &str, arguments: &str) -> String {
    let mut connection = bench.pool.acquire().await.unwrap();
    let prepare = format!("SET plan_cache_mode = force_generic_plan; PREPARE s ({parameters}) AS {sql}");
    sqlx::raw_sql(AssertSqlSafe(prepare).into_sql_str()).execute(&mut *connection).await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE s ({arguments})")).into_sql_str();
    let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut *connection).await.unwrap();
    plan.join("\n")
}
