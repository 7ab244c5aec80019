//! Promise 11: a cancel reaches the job on whatever host it runs, child processes included.

use std::time::{Duration, Instant};

use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::hosts::{Host, Plan, is_running, tool, tools};
use crate::manual_job::{manual_job, manual_options, registry};
use crate::support::{Bench, bench, eventually};

/// Four jobs on two hosts with two slots each. Gives each job's id, its subject and its child process.
async fn four_on_two_hosts(bench: &Bench, plan: &Plan) -> ([Host; 2], Vec<(Uuid, Uuid, u32)>) {
    let hosts = [Host::start(bench, plan.clone()), Host::start(bench, plan.clone())];
    let mut jobs = Vec::new();
    for _ in 0..4 {
        let subject = Uuid::new_v4();
        jobs.push((bench.enqueue(tool(1000.0).subject(subject)).await.id, subject));
    }
    let mut running = Vec::new();
    for (id, subject) in jobs {
        let child = bench.child_of(id).await;
        assert!(is_running(child).await);
        running.push((id, subject, child));
    }
    let names = "SELECT count(DISTINCT worker) FROM queue.jobs WHERE state = 'running'";
    assert_eq!(bench.count(names).await, 2, "both hosts are at work");
    (hosts, running)
}

async fn gone(jobs: &[(Uuid, Uuid, u32)]) {
    for (_, _, child) in jobs {
        eventually("the child process is gone", async || !is_running(*child).await).await;
    }
}

#[tokio::test]
async fn a_cancel_kills_the_child_processes_on_every_host_within_a_second_and_each_hook_runs_once() {
    let bench = bench().await;
    // Beats too far apart to help: the notification does it.
    let seldom = Plan {
        slots: 2,
        beat: Duration::from_secs(60),
        dead_after: Duration::from_secs(200),
        ..Plan::default()
    };
    let (_hosts, jobs) = four_on_two_hosts(&bench, &seldom).await;
    let registry = tools(&bench.pool);
    let mut tx = bench.pool.begin().await.unwrap();
    for (id, _, _) in &jobs {
        assert_eq!(registry.cancel(&mut tx, *id, "not needed").await.unwrap(), Some(*id));
    }
    tx.commit().await.unwrap();
    let asked = Instant::now();
    bench.queue.announce_cancellation();
    gone(&jobs).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());

    // The slots are free again, and nothing of the attempts is written any more.
    let next = bench.enqueue(tool(0.0)).await.id;
    bench.until(next, "completed").await;
    for (id, subject, _) in jobs {
        assert_eq!(bench.state(id).await, "cancelled");
        assert_eq!(bench.counters(id).await, (1, 0, 0), "a cancel spends no budget");
        let hooks: i64 =
            sqlx::query_scalar("SELECT count(*) FROM effects WHERE what = 'ended:cancelled' AND job_id = $1")
                .bind(subject)
                .fetch_one(&bench.pool)
                .await
                .unwrap();
        assert_eq!(hooks, 1);
    }
    assert_eq!(bench.count("SELECT count(*) FROM queue.failed_attempts").await, 0);
}

#[tokio::test]
async fn without_the_notification_the_next_beat_kills_them() {
    let bench = bench().await;
    let plan = Plan { slots: 2, ..Plan::default() };
    let (_hosts, jobs) = four_on_two_hosts(&bench, &plan).await;
    let registry = tools(&bench.pool);
    let mut tx = bench.pool.begin().await.unwrap();
    for (id, _, _) in &jobs {
        assert_eq!(registry.cancel(&mut tx, *id, "not needed").await.unwrap(), Some(*id));
    }
    tx.commit().await.unwrap(); // and no word about it
    let asked = Instant::now();
    gone(&jobs).await;
    // The beat comes every 0.2 s here; the rest is for a busy machine.
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    for (id, _, _) in jobs {
        assert_eq!(bench.state(id).await, "cancelled");
    }
}

#[tokio::test]
async fn ten_cancels_at_the_same_time_are_one() {
    let bench = bench().await;
    let id = bench.enqueue(manual_job()).await.id;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds.clone(), manual_options(1));
    let turn = turns.next().await;
    // All ten have seen it run and written what their hooks write before the first of them can have the job.
    let mut held = bench.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.jobs WHERE id = $1 FOR UPDATE")
        .bind(id)
        .execute(&mut *held)
        .await
        .unwrap();
    let own = PgPoolOptions::new().max_connections(10).connect(&bench.url).await.unwrap();
    let mut people = JoinSet::new();
    for _ in 0..10 {
        let (pool, kinds) = (own.clone(), kinds.clone());
        people.spawn(async move {
            let mut tx = pool.begin().await.unwrap();
            let cancelled = kinds.cancel(&mut tx, id, "not needed").await.unwrap();
            tx.commit().await.unwrap();
            cancelled
        });
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%operate::cancel%'";
    eventually("all ten wait for it", async || bench.count(waiting).await == 10).await;
    held.commit().await.unwrap();
    let done: Vec<Option<Uuid>> = people.join_all().await;
    assert_eq!(done.iter().flatten().count(), 1, "one of them did it: {done:?}");
    eventually("the attempt learns of it", async || turn.attempt.cancellation().is_cancelled()).await;
    worker.stop().await;
    assert_eq!(bench.effects("manual:cancelled").await, 1, "its hook's rows alone are there");
    assert_eq!(bench.state(id).await, "cancelled");
}

#[tokio::test]
async fn a_cancel_and_a_commit_at_the_same_time_are_one_of_the_two() {
    let bench = bench().await;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds.clone(), manual_options(1));
    let mut cancels = 0;
    for round in 0..30_u64 {
        // Which of the two waits, and for how long, spreads them over each other's statements.
        let (ends_after, cancels_after) = if round % 2 == 0 { (round * 100, 0) } else { (0, round * 100) };
        let subject = Uuid::new_v4();
        let id = bench.enqueue(manual_job().subject(subject)).await.id;
        let turn = turns.next().await;
        let ending = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(ends_after)).await;
            turn.end(Ok(()));
        });
        let mut tx = bench.pool.begin().await.unwrap();
        tokio::time::sleep(Duration::from_micros(cancels_after)).await;
        let cancelled = kinds.cancel(&mut tx, id, "not needed").await.unwrap();
        tx.commit().await.unwrap();
        ending.await.unwrap();
        eventually("it has ended", async || bench.state(id).await != "running").await;
        let expected = if cancelled.is_some() {
            ["cancelled", "manual:cancelled"]
        } else {
            ["completed", "manual:commit"]
        };
        assert_eq!(bench.state(id).await, expected[0], "round {round}");
        let effects: Vec<String> =
            sqlx::query_scalar("SELECT what FROM effects WHERE job_id IN ($1, $2) AND what LIKE 'manual:%'")
                .bind(id)
                .bind(subject)
                .fetch_all(&bench.pool)
                .await
                .unwrap();
        assert_eq!(effects, [expected[1]], "round {round}: the rows of one of the two");
        cancels += i32::from(cancelled.is_some());
    }
    worker.stop().await;
    assert!((1..30).contains(&cancels), "both came first now and then: {cancels} of 30 were cancelled");
}
