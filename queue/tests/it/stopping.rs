//! Promise 10: SIGTERM to a real worker process.

use std::time::{Duration, Instant};

use bedel_test_support::PgProxy;
use uuid::Uuid;

use crate::hosts::{Host, Plan, is_running, tool};
use crate::support::{Bench, bench, eventually};

async fn checkpoint(bench: &Bench, job: Uuid) -> i64 {
    sqlx::query_scalar("SELECT coalesce(checkpoint, '0')::text::bigint FROM queue.jobs WHERE id = $1")
        .bind(job)
        .fetch_one(&bench.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn sigterm_lets_work_finish_in_time_and_gives_back_the_rest_within_a_second() {
    let bench = bench().await;
    let quick = bench.enqueue(tool(0.5)).await.id;
    let long = bench.enqueue(tool(1000.0)).await.id;
    let drain = Duration::from_millis(1500);
    let mut host = Host::start(&bench, Plan { slots: 3, drain, ..Plan::default() });
    let child = bench.child_of(long).await;
    bench.child_of(quick).await;
    host.terminate().await;
    let asked = Instant::now();
    // A slot is free, but no job is claimed.
    eventually("no more claims", async || {
        let probe = bench.enqueue(tool(0.0)).await.id;
        tokio::time::sleep(Duration::from_millis(250)).await;
        let left_alone = bench.state(probe).await == "available";
        sqlx::query("DELETE FROM queue.jobs WHERE id = $1 AND state = 'available'")
            .bind(probe)
            .execute(&bench.pool)
            .await
            .unwrap();
        left_alone
    })
    .await;
    assert!(asked.elapsed() < drain, "it went on claiming");
    bench.until(quick, "completed").await;
    assert!(is_running(child).await, "killed before the deadline");
    bench.until(long, "available").await;
    let released = asked.elapsed();
    assert!(released >= drain, "released before the deadline: {released:?}");
    assert!(released < drain + Duration::from_secs(1), "{released:?}");
    assert!(host.ended(Duration::from_secs(5)).await.success());
    assert!(!is_running(child).await, "the child outlived its worker");
    assert_eq!(bench.counters(long).await, (1, 0, 0), "budgets untouched");
    assert_eq!(checkpoint(&bench, long).await, 1, "the checkpoint is kept");
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 0);
    assert_eq!(bench.count("SELECT count(*) FROM queue.failed_attempts").await, 0);

    // The next attempt resumes from the checkpoint.
    let _next = Host::start(&bench, Plan::default());
    eventually("the next attempt", async || checkpoint(&bench, long).await == 2).await;
    assert_eq!(bench.counters(long).await, (2, 0, 0));
}

#[tokio::test]
async fn a_storm_of_stops_spends_no_budget() {
    let bench = bench().await;
    let id = bench.enqueue(tool(1000.0)).await.id;
    for round in 1..=3 {
        let mut host = Host::start(&bench, Plan { drain: Duration::ZERO, ..Plan::default() });
        eventually("it runs", async || checkpoint(&bench, id).await == round).await;
        host.terminate().await;
        host.terminate().await; // impatient operators send it twice
        assert!(host.ended(Duration::from_secs(10)).await.success());
        assert_eq!(bench.state(id).await, "available");
        let (attempt, errors, crashes) = bench.counters(id).await;
        assert_eq!((i64::from(attempt), errors, crashes), (round, 0, 0));
    }
}

#[tokio::test]
async fn a_stop_during_an_outage_that_passes_gives_back_what_ran_untouched() {
    let bench = bench().await;
    let id = bench.enqueue(tool(1000.0)).await.id;
    let mut proxy = PgProxy::start(&bench.pool.connect_options()).unwrap();
    let plan = Plan { drain: Duration::from_millis(500), ..Plan::default() }.through(proxy.directory());
    let mut host = Host::start(&bench, plan);
    let child = bench.child_of(id).await;
    proxy.cut();
    host.terminate().await;
    // The deadline passes while the database is away: the child is still killed.
    eventually("the child is gone", async || !is_running(child).await).await;
    assert_eq!(bench.state(id).await, "running", "nobody could say otherwise");
    proxy.restore().unwrap();
    assert!(host.ended(Duration::from_secs(20)).await.success());
    assert_eq!(bench.state(id).await, "available");
    assert_eq!(bench.counters(id).await, (1, 0, 0));
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 0);
}

#[tokio::test]
async fn a_stop_during_an_outage_that_stays_ends_the_process_and_the_job_is_rescued() {
    let bench = bench().await;
    let id = bench.enqueue(tool(1000.0)).await.id;
    let proxy = PgProxy::start(&bench.pool.connect_options()).unwrap();
    let plan = Plan { drain: Duration::from_millis(500), ..Plan::default() }.through(proxy.directory());
    let mut host = Host::start(&bench, plan);
    let child = bench.child_of(id).await;
    proxy.cut();
    host.terminate().await;
    let asked = Instant::now();
    let status = host.ended(Duration::from_secs(25)).await;
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert!(!is_running(child).await, "the child outlived its worker");
    assert_eq!(checkpoint(&bench, id).await, 1);
    // The others see it as dead. Its attempt had saved a checkpoint, so no crash is counted.
    let _other = Host::start(&bench, Plan::default());
    eventually("the next attempt", async || checkpoint(&bench, id).await == 2).await;
    assert_eq!(bench.counters(id).await, (2, 0, 0));
}
