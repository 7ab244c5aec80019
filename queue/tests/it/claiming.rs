//! Promises 8 and 9: demand-driven claim, prompt with NOTIFY and right without.

use std::time::{Duration, Instant};

use bedel_queue::{Queue, WorkerOptions, enqueue_many, inspect};
use bedel_test_support::{Cluster, Moment, PgProxy, Statement};
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{Act, Bench, Worker, bench, eventually, options, step};

/// A worker that polls every 120 s, after its first few claims: from then on each wake-up causes one claim.
async fn lazy_worker(bench: &Bench, slots: usize) -> Worker {
    let worker = bench.worker(WorkerOptions { poll: Duration::from_secs(120), ..options(slots) });
    // The first beat registers the worker and the listener listens: a first job proves both.
    let warm = bench.enqueue(step(Act::Succeed)).await.id;
    eventually("the first job ran", async || {
        bench.queue.wake();
        bench.state(warm).await == "completed"
    })
    .await;
    worker
}

#[tokio::test]
async fn never_more_is_claimed_than_is_free() {
    let bench = bench().await;
    for _ in 0..6 {
        bench.enqueue(step(Act::Sleep(300))).await;
    }
    let worker = bench.worker(options(2));
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let running = bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await;
        assert!(running <= 2, "{running} running in two slots");
        if bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await == 6 {
            break;
        }
        assert!(Instant::now() < deadline);
    }
    worker.stop().await;
}

#[tokio::test]
async fn many_slots_are_claimed_for_in_portions_and_all_of_them_fill() {
    let bench = bench().await;
    let worker = lazy_worker(&bench, 100).await;
    let jobs: Vec<_> = (0..100).map(|_| step(Act::Sleep(1500))).collect();
    enqueue_many(&mut bench.pool.acquire().await.unwrap(), &jobs).await.unwrap();
    bench.queue.wake();
    eventually("all slots are at work at once", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await == 100
    })
    .await;
    // One claim is one transaction, so it has one timestamp.
    let largest = bench
        .count("SELECT max(n) FROM (SELECT count(*) AS n FROM queue.jobs GROUP BY attempted_at) AS claims")
        .await;
    assert!((10..=50).contains(&largest), "{largest} in one claim for 100 slots");
    worker.stop().await;
}

#[tokio::test]
async fn a_locked_row_is_skipped_and_delays_no_claim() {
    let bench = bench().await;
    let held = bench.enqueue(step(Act::Succeed)).await.id;
    let grouped = bench.enqueue(step(Act::Succeed).group_key("g")).await.id;
    let suspect = bench.enqueue(step(Act::Succeed)).await.id;
    sqlx::query("UPDATE queue.jobs SET crashes = 1, attempt = 1 WHERE id = $1")
        .bind(suspect)
        .execute(&bench.pool)
        .await
        .unwrap();
    let mut holder = bench.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.jobs FOR UPDATE").execute(&mut *holder).await.unwrap();
    let free = bench.enqueue(step(Act::Succeed)).await.id;
    let worker = bench.worker(options(1));
    bench.until(free, "completed").await;
    for id in [held, grouped, suspect] {
        assert_eq!(bench.state(id).await, "available");
    }
    holder.rollback().await.unwrap();
    for id in [held, grouped, suspect] {
        bench.until(id, "completed").await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn kinds_this_process_does_not_know_are_left_alone() {
    let bench = bench().await;
    let new: uuid::Uuid = sqlx::query_scalar("SELECT id FROM queue.enqueue('from-the-future', '{}')")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    let known = bench.enqueue(step(Act::Succeed)).await.id;
    let worker = bench.worker(options(1));
    bench.until(known, "completed").await;
    worker.stop().await;
    assert_eq!(bench.state(new).await, "available");
}

#[tokio::test]
async fn lower_priorities_and_earlier_times_go_first() {
    let bench = bench().await;
    let late = bench.enqueue(step(Act::Succeed).priority(3)).await.id;
    let middle = bench.enqueue(step(Act::Succeed)).await.id;
    let first = bench.enqueue(step(Act::Succeed).priority(1)).await.id;
    let scheduled = bench.enqueue(step(Act::Succeed).priority(1).delay(Duration::from_secs(60))).await.id;
    let worker = bench.worker(options(1));
    bench.until(late, "completed").await;
    worker.stop().await;
    let order: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT job_id FROM effects WHERE what = 'run' ORDER BY n")
            .fetch_all(&bench.pool)
            .await
            .unwrap();
    assert_eq!(order, [first, middle, late]);
    assert_eq!(bench.state(scheduled).await, "available");
}

#[tokio::test]
async fn a_wake_up_starts_a_job_long_before_the_poll() {
    let bench = bench().await;
    let worker = lazy_worker(&bench, 1).await;
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    bench.queue.wake();
    bench.until(id, "completed").await;
    let mut connection = bench.pool.acquire().await.unwrap();
    let job = inspect::job(&mut connection, id).await.unwrap().expect("the job");
    let waited = job.attempted_at.expect("claimed") - job.created_at;
    assert!(waited < chrono_seconds(5), "{waited} with a poll of 120 s");
    worker.stop().await;
}

#[tokio::test]
async fn a_job_enqueued_by_the_handle_is_there_once_and_starts_long_before_the_poll() {
    let bench = bench().await;
    let worker = lazy_worker(&bench, 1).await;
    for _ in 0..3 {
        let enqueued = bench.queue.enqueue(&step(Act::Succeed)).await.unwrap();
        assert!(enqueued.created);
        bench.until(enqueued.id, "completed").await;
    }
    let later = step(Act::Succeed).unique_key("one").delay(Duration::from_secs(60));
    let first = bench.queue.enqueue(&later).await.unwrap();
    let again = bench.queue.enqueue(&later).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.id, first.id);
    worker.stop().await;
}

#[tokio::test]
async fn a_notification_that_hangs_holds_up_no_enqueue() {
    let bench = bench().await;
    let proxy = PgProxy::start(&bench.pool.connect_options()).unwrap();
    let pool = PgPoolOptions::new().connect_with(proxy.options()).await.unwrap();
    let hold = proxy.hold(Statement::Named("queue::notify"), Moment::Before);
    let queue = Queue::new(pool);
    let worker = bench.worker(options(2));
    for _ in 0..3 {
        let id = queue.enqueue(&step(Act::Succeed)).await.unwrap().id;
        bench.until(id, "completed").await;
    }
    worker.stop().await;
    drop(hold);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_producers_on_a_slow_disk_commit_together() {
    // Each flush takes 2 ms more. PostgreSQL flushes for all transactions that wait, but for a transaction with a NOTIFY alone.
    const PRODUCERS: u32 = 20;
    const JOBS: u32 = 50;
    let cluster = Cluster::start(&[("commit_delay", "2000"), ("commit_siblings", "0")]).await.unwrap();
    cluster.create("queue").await.unwrap();
    let options = PgPoolOptions::new().max_connections(PRODUCERS);
    let pool = options.connect(&cluster.url("queue")).await.unwrap();
    bedel_queue::migrate(&pool).await.unwrap();
    let begun = Instant::now();
    let mut producers = JoinSet::new();
    for _ in 0..PRODUCERS {
        let queue = Queue::new(pool.clone());
        producers.spawn(async move {
            for _ in 0..JOBS {
                queue.enqueue(&step(Act::Succeed)).await.unwrap();
            }
        });
    }
    producers.join_all().await;
    let took = begun.elapsed();
    // One after another they would take 2 s and more.
    assert!(took < Duration::from_millis(2) * PRODUCERS * JOBS * 2 / 3, "{took:?}");
    pool.close().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_wake_up_is_sent_although_all_of_the_pool_is_held_and_its_own_connection_broke() {
    let bench = bench().await;
    let worker = lazy_worker(&bench, 1).await;
    let broken = bench
        .count(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
              WHERE application_name = 'bedel-wakes' AND datname = current_database()",
        )
        .await;
    assert_eq!(broken, 1, "wake-ups have a connection of their own");
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    let mut held = Vec::new();
    while let Some(connection) = bench.queue.pool().try_acquire() {
        held.push(connection);
    }
    bench.queue.wake();
    let beside = PgPool::connect(&bench.url).await.unwrap();
    eventually("the job ran", async || {
        let state: String = sqlx::query_scalar("SELECT state::text FROM queue.jobs WHERE id = $1")
            .bind(id)
            .fetch_one(&beside)
            .await
            .unwrap();
        state == "completed"
    })
    .await;
    worker.stop().await;
}

fn chrono_seconds(seconds: i64) -> chrono::TimeDelta {
    chrono::TimeDelta::seconds(seconds)
}

#[tokio::test]
async fn without_a_wake_up_polling_finds_the_job() {
    let bench = bench().await;
    let worker = bench.worker(options(1));
    // A worker also claims at its start and when a slot becomes free. That may find one of the first jobs,
    // not all.
    for _ in 0..5 {
        let id = bench.enqueue(step(Act::Succeed)).await.id; // no call of wake
        bench.until(id, "completed").await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn many_wake_ups_cost_few_statements() {
    let bench = bench().await;
    let queue = Queue::new(bench.pool.clone());
    let mut listener = PgListener::connect_with(&bench.pool).await.unwrap();
    listener.listen("bedel_queue").await.unwrap();
    for _ in 0..1000 {
        queue.wake();
    }
    listener.recv().await.unwrap();
    let mut more = 0;
    while timeout(Duration::from_millis(300), listener.recv()).await.is_ok() {
        more += 1;
    }
    assert!(more < 10, "{more} notifications for 1000 signals");
}

#[tokio::test]
async fn a_job_that_succeeds_at_once_costs_two_row_versions() {
    let bench = bench().await;
    for _ in 0..50 {
        bench.enqueue(step(Act::Succeed)).await;
    }
    let worker = bench.worker(options(4));
    eventually("all completed", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await == 50
    })
    .await;
    worker.stop().await;
    // A session reports its counts at its end at the latest.
    let Bench { queue, pool, url } = bench;
    drop(queue);
    pool.close().await;
    let beside = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&beside).await.unwrap();
    eventually("all other sessions ended", async || {
        count(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        .await
            == 0
    })
    .await;
    let updates = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = 'queue.jobs'::regclass";
    eventually("the updates are counted", async || count(updates).await >= 100).await;
    assert_eq!(count(updates).await, 100, "two per job");
}

#[tokio::test]
async fn a_listener_whose_server_went_silent_is_replaced() {
    let bench = bench().await;
    let proxy = PgProxy::start(&bench.pool.connect_options()).unwrap();
    let pool = PgPoolOptions::new().connect_with(proxy.options()).await.unwrap();
    let through = Bench { queue: Queue::new(pool.clone()), pool, url: bench.url.clone() };
    let mut hold = proxy.hold(Statement::Named("queue::check_listener"), Moment::Before);
    let worker = through.worker(options(1)); // it checks after 3 s
    assert!(hold.reached(Duration::from_secs(20)).await);
    // The proxy keeps the silent session open.
    let listeners = "SELECT count(*) FROM pg_stat_activity
                      WHERE datname = current_database() AND application_name = 'bedel-listen'";
    eventually("another one listens", async || bench.count(listeners).await == 2).await;
    drop(hold);
    worker.stop().await;
}
