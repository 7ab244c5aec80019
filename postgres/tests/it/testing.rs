//! `testing::database`: isolated copies of a template that is created once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bedel_postgres::testing::database;
use sqlx::PgPool;

use crate::server_process::ServerProcess;
use crate::support::{TIMEOUT, open_dir, query, start};

static MIGRATIONS: AtomicUsize = AtomicUsize::new(0);

async fn migrate(pool: PgPool) {
    MIGRATIONS.fetch_add(1, Ordering::SeqCst);
    sqlx::raw_sql("CREATE TABLE notes (text text); INSERT INTO notes VALUES ('from the template')")
        .execute(&pool)
        .await
        .expect("migrated");
}

async fn notes(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT text FROM notes ORDER BY text").fetch_all(pool).await.expect("notes")
}

#[tokio::test]
async fn two_databases_share_the_template_and_nothing_else() {
    let one = database("notes", migrate).await;
    let two = database("notes", migrate).await;
    sqlx::query("INSERT INTO notes VALUES ('one')").execute(&one.pool).await.expect("inserted");
    assert_eq!(notes(&one.pool).await, ["from the template", "one"]);
    assert_eq!(notes(&two.pool).await, ["from the template"]);
    let again = PgPool::connect(&one.url).await.expect("the same database");
    assert_eq!(notes(&again).await, ["from the template", "one"]);
}

#[test]
fn many_threads_wait_for_one_migration() {
    let began = Instant::now();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
                runtime.block_on(async {
                    for _ in 0..5 {
                        let database = database("notes", migrate).await;
                        assert_eq!(notes(&database.pool).await, ["from the template"]);
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    println!("40 databases in {:?}", began.elapsed());
    assert_eq!(MIGRATIONS.load(Ordering::SeqCst), 1, "the template is created once per process");
}

#[tokio::test]
async fn a_migration_that_panics_leaves_no_template_behind() {
    let failed = tokio::spawn(async {
        database("fragile", |pool: PgPool| async move {
            sqlx::raw_sql("CREATE TABLE half (done text)").execute(&pool).await.expect("created");
            panic!("on purpose");
        })
        .await
    })
    .await;
    assert!(failed.is_err_and(|error| error.is_panic()));
    let database = database("fragile", migrate_other).await;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(&database.pool)
        .await
        .expect("counted");
    assert_eq!(tables, 1, "only the second migration's table");
}

async fn migrate_other(pool: PgPool) {
    sqlx::raw_sql("CREATE TABLE whole (done text)").execute(&pool).await.expect("created");
}

#[tokio::test]
async fn on_an_existing_server_databases_of_dead_processes_are_dropped() {
    let dir = open_dir();
    let server = start(dir.path().join("pg")).await;
    let url = server.url("postgres");
    let test_databases =
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname LIKE 'bedel_test_%'";
    let mut dead = ServerProcess::start_on(&url, "test and hang", dir.path());
    assert_eq!(dead.server, server.pid());
    let of_dead = query(&url, test_databases).await;
    assert_eq!(of_dead.split(' ').count(), 2, "a template and a copy: {of_dead}");
    dead.kill_9();
    // Its connections close a moment later, and release its lock.
    let backends = "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let deadline = Instant::now() + TIMEOUT;
    while query(&url, backends).await != "1" {
        assert!(Instant::now() < deadline, "connections of the dead process stay open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let alive = ServerProcess::start_on(&url, "test and hang", dir.path());
    let of_alive = query(&url, test_databases).await;
    assert!(of_dead.split(' ').all(|name| !of_alive.contains(name)), "dropped: {of_dead}; there: {of_alive}");
    let _another = ServerProcess::start_on(&url, "test and hang", dir.path());
    let of_both = query(&url, test_databases).await;
    assert!(
        of_alive.split(' ').all(|name| of_both.contains(name)),
        "a live process keeps its databases: {of_both}"
    );
    drop(alive);
}
