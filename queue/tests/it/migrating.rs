//! The queue's migrations: applied once, recorded in their own table, refused when they disagree.

use std::time::{Duration, Instant};

use bedel_postgres::testing::{self, TestDatabase};
use bedel_queue::migrate;
use bedel_queue::migrate::{Ledger, MigrateError, QUEUE, State, run_with, status};
use bedel_queue::{Queue, enqueue};
use bedel_test_support::Cluster;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, query_scalar};
use tokio::task::JoinSet;

use crate::support::{Act, bench, step};

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
    let program: bool = query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL")
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

/// A program's migration that changes the queue's largest table.
async fn later_migration() -> Ledger {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("1_add_note.sql"), "ALTER TABLE queue.jobs ADD COLUMN note text")
        .unwrap();
    Ledger::new(Migrator::new(directory.path()).await.unwrap(), "later_migrations")
}

async fn waits_for_lock(pool: &PgPool) -> bool {
    let statement = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
                       WHERE datname = current_database() AND relation = 'queue.jobs'::regclass AND NOT granted)";
    query_scalar(statement).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn enqueues_pass_a_migration_that_waits_for_a_long_transaction() {
    let bench = bench().await;
    let ledger = later_migration().await;
    let mut long = bench.pool.begin().await.unwrap();
    enqueue(&mut long, &step(Act::Succeed)).await.unwrap();
    let pool = bench.pool.clone();
    let migration =
        tokio::spawn(async move { run_with(&pool, &[&ledger], Duration::from_secs(60), &mut |_| ()).await });
    let queue = Queue::new(bench.pool.clone());
    // Each try of the migration meets an enqueue.
    for _ in 0..3 {
        while !waits_for_lock(&bench.pool).await {
            assert!(!migration.is_finished(), "the long transaction holds the lock");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begun = Instant::now();
        let enqueued =
            tokio::time::timeout(Duration::from_secs(20), queue.enqueue(&step(Act::Succeed))).await;
        enqueued.expect("the enqueue hangs behind the migration").unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    long.commit().await.unwrap();
    assert_eq!(migration.await.unwrap().unwrap().applied.len(), 1);
}

#[tokio::test]
async fn a_migration_without_its_lock_ends_in_time_and_names_the_transaction() {
    let bench = bench().await;
    let ledger = later_migration().await;
    let options = bench.pool.connect_options().as_ref().clone().application_name("nightly-report");
    let reports = PgPoolOptions::new().connect_with(options).await.unwrap();
    let mut long = reports.begin().await.unwrap();
    enqueue(&mut long, &step(Act::Succeed)).await.unwrap();
    let migration = async { run_with(&bench.pool, &[&ledger], Duration::from_secs(1), &mut |_| ()).await };
    let migration = tokio::time::timeout(Duration::from_secs(20), migration).await;
    let error = migration.expect("it waits for ever").unwrap_err().to_string();
    assert!(error.contains("nightly-report") && error.contains("pg_terminate_backend"), "{error}");
    long.rollback().await.unwrap();
    let rows = status(&bench.pool, &[&ledger]).await.unwrap();
    assert!(rows.iter().all(|row| row.state == State::Pending), "{rows:?}");
    run_with(&bench.pool, &[&ledger], Duration::from_secs(1), &mut |_| ()).await.unwrap();
}

#[tokio::test]
async fn a_role_that_may_not_migrate_changes_nothing() {
    let cluster = Cluster::start(&[]).await.unwrap();
    cluster.run("CREATE ROLE limited LOGIN".to_owned()).await.unwrap();
    for (setup, grant) in [
        ("", "GRANT CREATE ON DATABASE"),
        ("CREATE SCHEMA queue AUTHORIZATION limited", "GRANT CREATE ON DATABASE"),
        (
            "GRANT CREATE ON DATABASE one TO limited; CREATE SCHEMA queue",
            "GRANT USAGE, CREATE ON SCHEMA queue TO limited",
        ),
    ] {
        cluster.create("one").await.unwrap();
        let owner = PgPool::connect(&cluster.url("one")).await.unwrap();
        sqlx::raw_sql(setup).execute(&owner).await.unwrap();
        let options: PgConnectOptions = cluster.url("one").parse().unwrap();
        let limited = PgPoolOptions::new().connect_with(options.username("limited")).await.unwrap();
        let error = migrate(&limited).await.unwrap_err();
        assert!(matches!(&error, MigrateError::Grants(_)), "{error}");
        assert!(error.to_string().contains(grant), "{error}");
        let made: i64 =
            query_scalar("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('queue')")
                .fetch_one(&owner)
                .await
                .unwrap();
        assert_eq!(made, 0);
        // The error names everything that is missing.
        let MigrateError::Grants(grants) = error else { unreachable!() };
        sqlx::raw_sql(sqlx::AssertSqlSafe(grants.join(" "))).execute(&owner).await.unwrap();
        migrate(&limited).await.unwrap();
        limited.close().await;
        owner.close().await;
        cluster.drop("one").await.unwrap();
    }
    cluster.stop().await;
}
