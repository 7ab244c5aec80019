//! Connections that a migration or a read-only server made useless are replaced, and what they ran continues.

use bedel_queue::inspect::{self, Filter};
use bedel_queue::{NewJob, Queue, enqueue, replace_stale, run_worker};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Act, Bench, bench, eventually, options, registry, step};

/// A program's pool, as the documentation says to make it.
async fn program_pool(bench: &Bench) -> PgPool {
    replace_stale(PgPoolOptions::new().max_connections(5)).connect(&bench.url).await.unwrap()
}

/// Runs a worker on `pool` and `scene`, then stops the worker.
async fn with_worker(pool: PgPool, scene: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let worker =
        tokio::spawn(run_worker(Queue::new(pool.clone()), registry(&pool), options(2), stop.clone()));
    scene.await;
    stop.cancel();
    worker.await.unwrap().unwrap();
}

async fn add(bench: &Bench, job: &NewJob) -> Uuid {
    enqueue(&mut bench.pool.acquire().await.unwrap(), job).await.unwrap().id
}

async fn run(bench: &Bench, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&bench.pool).await.unwrap();
}

/// The types of every column that claims, ends and hooks read.
const RETYPE: &str = "
    CREATE DOMAIN queue.count AS integer;
    ALTER TABLE queue.jobs ALTER COLUMN attempt TYPE queue.count;
    CREATE DOMAIN queue.word AS text;
    ALTER TABLE queue.jobs ALTER COLUMN kind TYPE queue.word";

#[tokio::test]
async fn a_worker_goes_on_after_a_migration_changed_the_types_of_columns() {
    let bench = bench().await;
    with_worker(program_pool(&bench).await, async {
        let before = add(&bench, &step(Act::Succeed)).await;
        bench.until(before, "completed").await;
        run(&bench, RETYPE).await;
        for act in [Act::Succeed, Act::Fatal, Act::Chain] {
            let state = if matches!(act, Act::Fatal) { "discarded" } else { "completed" };
            let after = add(&bench, &step(act).subject(Uuid::new_v4())).await;
            bench.until(after, state).await;
            let spent: i32 = sqlx::query_scalar("SELECT errors FROM queue.jobs WHERE id = $1")
                .bind(after)
                .fetch_one(&bench.pool)
                .await
                .unwrap();
            assert_eq!(spent, i32::from(state == "discarded"), "a repeat spends no budget");
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_comes_back_once_a_read_only_server_is_writable() {
    let bench = bench().await;
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&bench.pool).await.unwrap();
    with_worker(program_pool(&bench).await, async {
        let before = add(&bench, &step(Act::Succeed)).await;
        bench.until(before, "completed").await;
        // A claim and an end must meet the read-only server.
        let running = add(&bench, &step(Act::Sleep(1500))).await;
        bench.until(running, "running").await;
        let mut admin = bench.pool.acquire().await.unwrap();
        let statement = format!(
            "ALTER DATABASE \"{name}\" SET default_transaction_read_only = on;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()"
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *admin).await.unwrap();
        let changed_at: DateTime<Utc> =
            sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *admin).await.unwrap();
        let waiting = enqueue(&mut admin, &step(Act::Succeed)).await.unwrap().id;
        // A session that is opened now stays read-only later.
        eventually("a read-only session for claims", async || {
            let statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                              AND application_name = 'bedel-claims' AND backend_start > $1";
            let query = sqlx::query_scalar::<_, i64>(statement).bind(changed_at);
            query.fetch_one(&bench.pool).await.unwrap() > 0
        })
        .await;
        assert_eq!(bench.state(waiting).await, "available");
        let statement = format!("ALTER DATABASE \"{name}\" RESET default_transaction_read_only");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *admin).await.unwrap();
        drop(admin);
        bench.until(waiting, "completed").await;
        bench.until(running, "completed").await;
    })
    .await;
}

#[tokio::test]
async fn a_new_column_fails_no_statement_that_is_prepared() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let id = add(&bench, &step(Act::Succeed).subject(subject)).await;
    let mut connection = bench.pool.acquire().await.unwrap();
    for column in [None, Some("ALTER TABLE queue.jobs ADD COLUMN note text")] {
        if let Some(statement) = column {
            run(&bench, statement).await;
        }
        for state in [None, Some(inspect::JobState::Available), Some(inspect::JobState::Running)] {
            inspect::list(&mut connection, &Filter { state, ..Filter::default() }).await.unwrap();
        }
        assert!(inspect::job(&mut connection, id).await.unwrap().is_some());
        assert!(inspect::live_job(&mut connection, subject).await.unwrap().is_some());
        inspect::chain(&mut connection, subject, id, 5).await.unwrap();
    }
}
