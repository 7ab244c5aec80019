//! The queue's migrations: applied once, recorded in their own table, refused when they disagree.

use bedel_postgres::testing::{self, TestDatabase};
use bedel_queue::migrate;
use bedel_queue::migrate::{QUEUE, State, status};
use sqlx::PgPool;
use tokio::task::JoinSet;

async fn empty() -> TestDatabase {
    testing::database("queue-empty", |_| async {}).await
}

#[tokio::test]
async fn concurrent_runs_apply_each_migration_once() {
    let database = empty().await;
    let before = status(&database.pool, &[&QUEUE]).await.unwrap();
    assert!(!before.is_empty() && before.iter().all(|row| row.state == State::Pending), "{before:?}");
    let mut runs = JoinSet::new();
    for _ in 0..4 {
        let url = database.url.clone();
        runs.spawn(async move {
            let pool = PgPool::connect(&url).await.unwrap();
            migrate(&pool).await.unwrap().applied.len()
        });
    }
    let mut applied = runs.join_all().await;
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, before.len()]);
    let after = status(&database.pool, &[&QUEUE]).await.unwrap();
    assert!(after.iter().all(|row| row.state == State::Applied && row.applied_at.is_some()), "{after:?}");
    let program: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(program, "the program's own ledger is untouched");
}

#[tokio::test]
async fn a_ledger_that_disagrees_is_refused() {
    for (edit, refused) in [
        ("UPDATE queue.migrations SET checksum = ''", "another text"),
        ("UPDATE queue.migrations SET success = false", "never finished"),
        (
            "INSERT INTO queue.migrations (version, description, success, checksum, execution_time)
             VALUES (9003, 'later', true, '', 0)",
            "9003 (later)",
        ),
    ] {
        let database = empty().await;
        migrate(&database.pool).await.unwrap();
        sqlx::raw_sql(edit).execute(&database.pool).await.unwrap();
        let error = migrate(&database.pool).await.unwrap_err().to_string();
        assert!(error.contains(refused) && error.contains("queue.migrations"), "{error}");
        assert!(error.contains("Nothing was changed"), "{error}");
    }
}
