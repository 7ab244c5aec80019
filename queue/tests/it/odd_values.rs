//! Values that a column can hold and the program cannot: SQL may write any. Each costs its own job at most, and
//! lists show it.

use bedel_queue::inspect::{self, Filter, JobState};
use bedel_queue::{depths, overview, workers};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{Act, Bench, bench, options, step};

/// Inserts an available job of kind `step` with these columns instead of the usual ones.
async fn insert(bench: &Bench, columns: &str, values: &str) -> Uuid {
    let args = if columns.contains("args") { ("", "") } else { (", args", r#", '{"act": "Succeed"}'"#) };
    let give_up =
        if columns.contains("give_up_at") { ("", "") } else { (", give_up_at", ", now() + '1 day'") };
    let sql = format!(
        "INSERT INTO queue.jobs (kind, give_up_after, max_attempts, max_crashes{}{}, {columns})
         VALUES ('step', '1 day', 3, 3{}{}, {values}) RETURNING id",
        args.0, give_up.0, args.1, give_up.1
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&bench.pool).await.unwrap()
}

async fn list(bench: &Bench, filter: Filter) -> Vec<inspect::JobView> {
    let mut connection = bench.pool.acquire().await.unwrap();
    inspect::list(&mut connection, &Filter { limit: 100, ..filter }).await.unwrap()
}

async fn show(bench: &Bench, id: Uuid) -> inspect::JobView {
    let mut connection = bench.pool.acquire().await.unwrap();
    inspect::job(&mut connection, id).await.unwrap().unwrap()
}

const DEEP: &str = r#"('{"act": ' || repeat('[', 200) || repeat(']', 200) || '}')::jsonb"#;

#[tokio::test]
async fn args_beyond_the_parser_end_their_job_alone() {
    let bench = bench().await;
    let number = insert(&bench, "args", r#"'{"act": 1e400}'"#).await;
    let depth = insert(&bench, "args", DEEP).await;
    let unread = insert(&bench, "args", r#"'{"act": "Succeed", "beside": 1e400}'"#).await;
    let innocent = bench.enqueue(step(Act::Succeed)).await.id;
    assert_eq!(list(&bench, Filter::default()).await.len(), 4);
    let worker = bench.worker(options(4));
    bench.until(number, "discarded").await;
    bench.until(depth, "discarded").await;
    // A number that no field reads does no harm.
    bench.until(unread, "completed").await;
    bench.until(innocent, "completed").await;
    worker.stop().await;
    for id in [number, depth, unread, innocent] {
        assert_eq!(bench.counters(id).await.0, 1, "claimed once");
    }
    let shown = show(&bench, number).await;
    assert!(matches!(shown.args, Value::String(text) if text.contains("1000")), "shown as text");
    assert_eq!(shown.failures[0].class, "undecodable");
    assert!(shown.reason.unwrap().contains("number beyond 1e308 or are nested more than 128"));
}

#[tokio::test]
async fn a_checkpoint_beyond_the_parser_is_none() {
    let bench = bench().await;
    let args = r#"'{"act": "CheckpointThenHang"}'"#;
    let id = insert(&bench, "checkpoint, args", &format!("'1e400', {args}")).await;
    let worker = bench.worker(options(1));
    crate::support::eventually("the attempt saves its own", async || bench.effects("checkpoint").await == 1)
        .await;
    worker.stop().await;
    assert_eq!(show(&bench, id).await.checkpoint, Some(Value::from(1)));
}

#[tokio::test]
async fn times_beyond_the_calendar_delay_nobody() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let mut ran = Vec::new();
    for time in ["-infinity", "4713-01-01 BC"] {
        let values = format!("'{time}', '{time}', 'infinity', '{subject}'");
        ran.push(insert(&bench, "run_at, created_at, give_up_at, subject", &values).await);
    }
    for time in ["infinity", "294276-12-31"] {
        ran.push(
            insert(&bench, "created_at, give_up_at, subject", &format!("'{time}', '{time}', '{subject}'"))
                .await,
        );
    }
    // A failing attempt compares with the end.
    let failed = insert(&bench, "give_up_at, args", r#"'-infinity', '{"act": "Retry"}'"#).await;
    let waits = insert(&bench, "run_at, subject", &format!("'infinity', '{subject}'")).await;
    let grouped = insert(&bench, "run_at, group_key", "'-infinity', 'host'").await;
    let mut connection = bench.pool.acquire().await.unwrap();
    for before in [true, false] {
        for state in [None, Some(JobState::Available), Some(JobState::Completed), Some(JobState::Discarded)] {
            list(&bench, Filter { state, ..Filter::default() }).await;
        }
        let depth = depths(&mut connection, &["step"]).await.unwrap().remove(0);
        assert!(depth.oldest_seconds.is_finite());
        assert_eq!(depth.oldest_seconds > 1e9, before, "a job due since ever is the oldest");
        overview(&mut connection, &["step"]).await.unwrap();
        bedel_queue::watch(&mut connection, &ran).await.unwrap();
        inspect::live_job(&mut connection, subject).await.unwrap().unwrap();
        inspect::chain(&mut connection, subject, ran[1], 10).await.unwrap();
        inspect::walk(&mut connection, &Filter::default(), Uuid::nil(), Uuid::max(), 10).await.unwrap();
        if before {
            let worker = bench.worker(options(2));
            for id in ran.iter().chain([&grouped]) {
                bench.until(*id, "completed").await;
            }
            bench.until(failed, "discarded").await;
            worker.stop().await;
        }
    }
    assert_eq!(bench.state(waits).await, "available");
    assert_eq!(show(&bench, waits).await.run_at.to_rfc3339(), "9999-12-31T23:59:59+00:00");
    assert_eq!(show(&bench, ran[0]).await.created_at.to_rfc3339(), "0001-01-01T00:00:00+00:00");
}

#[tokio::test]
async fn ends_beyond_the_calendar_are_listed_page_by_page() {
    let bench = bench().await;
    for time in ["infinity", "infinity", "294276-01-01", "-infinity"] {
        let id = insert(&bench, "state, finalized_at", &format!("'discarded', '{time}'")).await;
        let sql = "INSERT INTO queue.failed_attempts (job_id, attempt, failed_at, class, message)
                   VALUES ($1, 1, $2::text::timestamptz, 'x', 'x')";
        sqlx::query(sql).bind(id).bind(time).execute(&bench.pool).await.unwrap();
        assert_eq!(show(&bench, id).await.failures.len(), 1);
    }
    let mut connection = bench.pool.acquire().await.unwrap();
    let (mut after, mut seen) = (None, 0);
    for _ in 0..4 {
        let filter = Filter { state: Some(JobState::Discarded), limit: 1, after, ..Filter::default() };
        let page = inspect::list(&mut connection, &filter).await.unwrap();
        after = page.last().map(|job| job.id);
        seen += page.len();
    }
    assert_eq!(seen, 4);
    bedel_queue::watch(&mut connection, &[]).await.unwrap();
}

#[tokio::test]
async fn counters_at_their_end_neither_stop_the_claim_nor_loop() {
    let bench = bench().await;
    let most = "2147483647";
    let claimed = insert(&bench, "attempt", most).await;
    let failing =
        insert(&bench, "attempt, errors, args", &format!(r#"{most}, {most}, '{{"act": "Retry"}}'"#)).await;
    let innocent = bench.enqueue(step(Act::Succeed)).await.id;
    let worker = bench.worker(options(3));
    bench.until(claimed, "completed").await;
    bench.until(failing, "discarded").await;
    bench.until(innocent, "completed").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_state_of_a_later_version_is_listed_and_left_alone() {
    let bench = bench().await;
    sqlx::raw_sql("ALTER TYPE queue.job_state ADD VALUE 'archived'").execute(&bench.pool).await.unwrap();
    let id = insert(&bench, "state, finalized_at", "'archived', now()").await;
    let innocent = bench.enqueue(step(Act::Succeed)).await.id;
    let worker = bench.worker(options(1));
    bench.until(innocent, "completed").await;
    let mut connection = bench.pool.acquire().await.unwrap();
    bedel_queue::watch(&mut connection, &[id]).await.unwrap();
    workers(&mut connection).await.unwrap();
    worker.stop().await;
    assert_eq!(bench.state(id).await, "archived");
    let listed = list(&bench, Filter::default()).await;
    assert_eq!(listed.iter().find(|job| job.id == id).unwrap().state, JobState::Unknown);
    assert_eq!(serde_json::to_value(JobState::Unknown).unwrap(), "unknown");
    serde_json::from_value::<Filter>(serde_json::json!({ "state": "unknown" })).unwrap_err();
}

#[tokio::test]
async fn a_worker_that_never_beat_is_listed() {
    let bench = bench().await;
    sqlx::raw_sql(
        "INSERT INTO queue.workers (id, name, started_at, beat_at)
         VALUES (gen_random_uuid(), 'a', 'infinity', 'infinity'), (gen_random_uuid(), 'b', '-infinity', '-infinity')",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let mut connection = bench.pool.acquire().await.unwrap();
    let views = workers(&mut connection).await.unwrap();
    assert!(views.iter().all(|worker| worker.silent_seconds.is_finite()));
}

#[tokio::test]
async fn long_names_and_control_characters_are_text() {
    let bench = bench().await;
    let odd = "E'\\x01\\x1b[2J\\u202e' || repeat('x', 2000)";
    let id = insert(&bench, "queue, group_key, unique_key, worker, reason", &[odd; 5].join(", ")).await;
    let sql = format!("SELECT id FROM queue.enqueue({odd}, '{{}}')");
    let other: Uuid = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&bench.pool).await.unwrap();
    let mut connection = bench.pool.acquire().await.unwrap();
    let overview = overview(&mut connection, &["step"]).await.unwrap();
    assert_eq!(overview.queues.len(), 2);
    let worker = bench.worker(options(1));
    bench.until(id, "completed").await;
    worker.stop().await;
    assert_eq!(bench.state(other).await, "available");
    assert_eq!(list(&bench, Filter::default()).await.len(), 2);
}
