//! Promise 7 at its edges: `give_up_at` ends waiting and retrying, neither early nor late.

use std::time::Duration;

use bedel_queue::{JobError, inspect, retry};
use uuid::Uuid;

use crate::manual_job::{manual_job, manual_options, registry};
use crate::support::{Act, Bench, bench, eventually, options, step};

/// Seconds between two of the job's times.
async fn seconds(bench: &Bench, sql: &'static str, id: Uuid) -> f64 {
    sqlx::query_scalar(sql).bind(id).fetch_one(&bench.pool).await.unwrap()
}

const LEFT: &str = "SELECT extract(epoch FROM give_up_at - run_at)::float8 FROM queue.jobs WHERE id = $1";

#[tokio::test]
async fn a_pause_beyond_give_up_at_is_cut_to_it_and_the_job_gets_a_last_chance() {
    for pause in [
        JobError::retry_after("busy", "come back in an hour", Duration::from_secs(3600)),
        JobError::wait("busy", "come back in an hour", Duration::from_secs(3600)),
    ] {
        let bench = bench().await;
        let id = bench.enqueue(manual_job().give_up_after(Duration::from_millis(800))).await.id;
        let (kinds, mut turns) = registry();
        let worker = bench.worker_of(kinds, manual_options(1));
        turns.next().await.end(Err(pause.clone()));
        eventually("put back", async || {
            bench.counters(id).await.0 == 1 && bench.state(id).await == "available"
        })
        .await;
        assert!(seconds(&bench, LEFT, id).await.abs() < 1e-9, "due exactly when its time ends");
        turns.next().await.end(Err(pause));
        bench.until(id, "discarded").await;
        worker.stop().await;
        let mut connection = bench.pool.acquire().await.unwrap();
        let story = inspect::job(&mut connection, id).await.unwrap().expect("the job");
        assert_eq!(story.attempt, 2, "one more chance, and no more than one");
        assert!(story.finalized_at >= Some(story.give_up_at));
        assert_eq!(story.reason.as_deref(), Some("come back in an hour"));
        assert!(story.errors < story.max_attempts, "its time ended, not its budget");
    }
}

#[tokio::test]
async fn a_last_chance_that_succeeds_is_a_success() {
    let bench = bench().await;
    let id = bench.enqueue(manual_job().give_up_after(Duration::from_millis(500))).await.id;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds, manual_options(1));
    turns.next().await.end(Err(JobError::wait("encoding", "not yet", Duration::from_secs(60))));
    turns.next().await.end(Ok(()));
    bench.until(id, "completed").await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (2, 0, 0));
}

#[tokio::test]
async fn an_attempt_that_outlives_give_up_at_is_not_cut_short() {
    let bench = bench().await;
    let id = bench.enqueue(manual_job().give_up_after(Duration::from_millis(100))).await.id;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds, manual_options(1));
    let turn = turns.next().await;
    eventually("its time is over", async || {
        bench
            .count("SELECT count(*) FROM queue.jobs WHERE give_up_at < clock_timestamp() - interval '0.5 s'")
            .await
            == 1
    })
    .await;
    turn.end(Ok(()));
    bench.until(id, "completed").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_job_scheduled_for_later_or_retried_by_hand_has_its_whole_time() {
    let bench = bench().await;
    let later = step(Act::Fatal).delay(Duration::from_secs(3600)).give_up_after(Duration::from_secs(600));
    let id = bench.enqueue(later).await.id;
    assert!((seconds(&bench, LEFT, id).await - 600.0).abs() < 1e-6, "the delay takes nothing from it");
    let mut connection = bench.pool.acquire().await.unwrap();
    retry(&mut connection, id).await.unwrap();
    let worker = bench.worker(options(1));
    bench.until(id, "discarded").await;
    worker.stop().await;
    retry(&mut connection, id).await.unwrap();
    assert!((seconds(&bench, LEFT, id).await - 600.0).abs() < 1e-6, "as much as it first had");
}
