//! `testing::database`: isolated copies of a template that is made once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bedel_postgres::testing::database;
use sqlx::PgPool;

use crate::actor::Actor;
use crate::support::{PATIENCE, open_dir, query, start};

static MIGRATED: AtomicUsize = AtomicUsize::new(0);

async fn migrate(pool: PgPool) {
    MIGRATED.fetch_add(1, Ordering::SeqCst);
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
    let again = PgPool::connect(&one.url).await.expect("the URL leads there");
    assert_eq!(notes(&again).await, ["from the template", "one"]);
}

#[test]
fn runtimes_of_many_threads_wait_for_one_migration() {
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
    assert_eq!(MIGRATED.load(Ordering::SeqCst), 1, "the template is made once for all tests of this process");
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
    assert_eq!(tables, 1, "only what the second migration made");
}

async fn migrate_other(pool: PgPool) {
    sqlx::raw_sql("CREATE TABLE whole (done text)").execute(&pool).await.expect("created");
}

#[tokio::test]
async fn on_somebody_elses_server_databases_of_dead_processes_are_dropped() {
    let dir = open_dir();
    let server = start(dir.path().join("pg")).await;
    let url = server.url("postgres");
    let ours =
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname LIKE 'bedel_test_%'";
    let mut dead = Actor::start_on(&url, "test and hang", dir.path());
    assert_eq!(dead.server, server.pid());
    let of_dead = query(&url, ours).await;
    assert_eq!(of_dead.split(' ').count(), 2, "a template and a copy: {of_dead}");
    dead.kill_9();
    // Its connections are gone a moment later, and with them its lock.
    let backends = "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let deadline = Instant::now() + PATIENCE;
    while query(&url, backends).await != "1" {
        assert!(Instant::now() < deadline, "connections of a dead process stay");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let alive = Actor::start_on(&url, "test and hang", dir.path());
    let of_alive = query(&url, ours).await;
    assert!(of_dead.split(' ').all(|name| !of_alive.contains(name)), "dropped: {of_dead}; there: {of_alive}");
    let _another = Actor::start_on(&url, "test and hang", dir.path());
    let of_both = query(&url, ours).await;
    assert!(
        of_alive.split(' ').all(|name| of_both.contains(name)),
        "a living process keeps its own: {of_both}"
    );
    drop(alive);
}
