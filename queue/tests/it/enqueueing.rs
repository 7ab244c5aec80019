//! Promises 1 and 12: transactional enqueue, unique keys over live states.

use bedel_queue::{Enqueued, enqueue};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Act, bench, options, step};

#[tokio::test]
async fn a_job_exists_if_and_only_if_the_transaction_commits() {
    let bench = bench().await;
    let mut tx = bench.pool.begin().await.unwrap();
    enqueue(&mut tx, &step(Act::Succeed)).await.unwrap();
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 0, "visible before the commit");
    tx.rollback().await.unwrap();
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 0, "there after a rollback");

    let mut tx = bench.pool.begin().await.unwrap();
    let Enqueued { id, created } = enqueue(&mut tx, &step(Act::Succeed)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(created);
    assert_eq!(bench.state(id).await, "available");
}

#[tokio::test]
async fn sql_enqueues_what_a_worker_then_runs() {
    let bench = bench().await;
    let (id, created): (Uuid, bool) =
        sqlx::query_as("SELECT id, created FROM queue.enqueue('step', $1, max_attempts => 2)")
            .bind(json!({ "act": "Succeed" }))
            .fetch_one(&bench.pool)
            .await
            .unwrap();
    assert!(created);
    let worker = bench.worker(options(1));
    bench.until(id, "completed").await;
    worker.stop().await;
}

#[tokio::test]
async fn the_same_key_from_fifty_tasks_is_one_job() {
    let bench = bench().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let pool = bench.pool.clone();
        tasks.spawn(async move {
            let mut tx = pool.begin().await.unwrap();
            let enqueued = enqueue(&mut tx, &step(Act::Succeed).unique_key("one")).await.unwrap();
            tx.commit().await.unwrap();
            enqueued
        });
    }
    let enqueued: Vec<Enqueued> = tasks.join_all().await;
    assert_eq!(enqueued.iter().filter(|enqueued| enqueued.created).count(), 1);
    assert!(enqueued.iter().all(|other| other.id == enqueued[0].id), "the conflict returns the existing job");
}

#[tokio::test]
async fn a_key_is_free_again_once_its_job_ended() {
    let bench = bench().await;
    let first = bench.enqueue(step(Act::Succeed).unique_key("one")).await;
    let worker = bench.worker(options(1));
    bench.until(first.id, "completed").await;
    worker.stop().await;
    let second = bench.enqueue(step(Act::Succeed).unique_key("one")).await;
    assert!(second.created);
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn ids_sort_by_the_time_they_were_made() {
    let bench = bench().await;
    let first = bench.enqueue(step(Act::Succeed)).await.id;
    bench.count("SELECT count(*) FROM pg_sleep(0.005)").await;
    let second = bench.enqueue(step(Act::Succeed)).await.id;
    assert!(second > first);
    assert_eq!(first.get_version_num(), 7);
}
