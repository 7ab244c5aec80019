//! Fifty workers: what they ask the database while nothing happens, and how many of them a new job wakes.

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_queue::{Queue, Registry, WorkerOptions, run_worker};
use bedel_test_support::Cluster;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Act, Lab, Step, eventually, schema, step};

const WORKERS: u32 = 50;

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(20);

/// Jobs that are enqueued one by one.
const JOBS: u32 = 20;

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Transactions, and so statements outside one.
const TRANSACTIONS: &str =
    "SELECT (xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = 'crowd'";

/// Each claim reads the paused queues once, and nothing else reads this table here.
const CLAIMS: &str = "SELECT (seq_scan + coalesce(idx_scan, 0))::bigint FROM pg_stat_user_tables
                       WHERE relid = 'queue.queues'::regclass";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_idle_workers_ask_little_and_a_job_wakes_a_few_of_them() {
    let cluster = Cluster::start(&[]).await.unwrap();
    cluster.create("crowd").await.unwrap();
    // The test's own statements are not counted: it reads the numbers from another database, or once.
    let admin = PgPoolOptions::new().max_connections(1).connect(&cluster.url("postgres")).await.unwrap();
    let pool = PgPool::connect(&cluster.url("crowd")).await.unwrap();
    schema(&pool).await;
    let stop = CancellationToken::new();
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let options = WorkerOptions {
            name: format!("worker:{number}"),
            slots: BTreeMap::from([("step".to_owned(), 1)]),
            ..WorkerOptions::default()
        };
        let registry = Registry::new(Lab { pool: pool.clone() }).register::<Step>();
        workers.spawn(run_worker(Queue::new(pool.clone()), registry, options, stop.clone()));
    }
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bedel-listen'";
    eventually("all listen", async || count(&admin, listening).await == i64::from(WORKERS)).await;
    let registered = "SELECT count(*) FROM queue.workers";
    eventually("all beat", async || count(&pool, registered).await == i64::from(WORKERS)).await;
    sqlx::query("ANALYZE queue.workers").execute(&pool).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await; // past their first looks
    let before = count(&admin, TRANSACTIONS).await;
    tokio::time::sleep(IDLE).await;
    let asked = (count(&admin, TRANSACTIONS).await - before) as f64;
    let per_second = asked / IDLE.as_secs_f64() / f64::from(WORKERS);

    let before = count(&pool, CLAIMS).await;
    let queue = Queue::new(pool.clone());
    for _ in 0..JOBS {
        queue.enqueue(&step(Act::Succeed)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let completed = "SELECT count(*) FROM queue.jobs WHERE state = 'completed'";
    eventually("all completed", async || count(&pool, completed).await == i64::from(JOBS)).await;
    let longest: f64 = sqlx::query_scalar(
        "SELECT max(extract(epoch FROM attempted_at - created_at))::float8 FROM queue.jobs",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await; // each session reports within a second
    let claims = (count(&pool, CLAIMS).await - before) as f64 / f64::from(JOBS);
    println!(
        "idle: {per_second:.2} statements a second and worker; {claims:.1} claims a job; longest wait {longest:.2} s"
    );
    assert!(per_second <= 1.0, "{per_second} statements a second and worker");
    assert!(claims <= 20.0, "{claims} claims a job");
    stop.cancel();
    for outcome in workers.join_all().await {
        outcome.unwrap();
    }
    pool.close().await;
    admin.close().await;
    cluster.stop().await;
}
