//! Promises 6, 7 and 14: budgets, durable backoff, history.

use bedel_queue::inspect;
use serde_json::json;
use std::time::Duration;

use crate::support::{Act, REFUSED_SUBJECT, bench, eventually, options, step};

#[tokio::test]
async fn errors_are_counted_told_and_end_at_max_attempts() {
    let bench = bench().await;
    let subject = uuid::Uuid::new_v4();
    let id = bench.enqueue(step(Act::Retry).subject(subject)).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "discarded").await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (3, 3, 0));
    assert_eq!(bench.effects("failed:network").await, 2, "the hook of an attempt that goes on");
    assert_eq!(bench.effects("discarded:network").await, 1, "the hook of the end");

    let mut connection = bench.pool.acquire().await.unwrap();
    let story = inspect::job(&mut connection, id).await.unwrap().expect("the job");
    let told: Vec<_> =
        story.failures.iter().map(|f| (f.attempt, f.class.as_str(), f.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "network", "the line is down"),
            (2, "network", "the line is down"),
            (3, "network", "the line is down")
        ]
    );
    assert!(story.failures.iter().all(|f| f.worker.is_some()));
    assert_eq!(story.reason.as_deref(), Some("the line is down"));
}

#[tokio::test]
async fn the_next_run_is_in_the_row_and_grows() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::RetryAfter(60_000))).await.id;
    let worker = bench.worker(options(1));
    eventually("waiting in the row", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE run_at > now() + interval '50 seconds'").await == 1
    })
    .await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (1, 1, 0));
    assert_eq!(bench.state(id).await, "available");
}

#[tokio::test]
async fn an_error_beyond_help_is_not_tried_again() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Fatal)).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "discarded").await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (1, 1, 0));
}

#[tokio::test]
async fn waiting_spends_nothing_and_ends_at_give_up_at_with_the_last_reason() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Wait(200)).give_up_after(Duration::from_secs(2))).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "discarded").await;
    worker.stop().await;
    let (attempt, errors, crashes) = bench.counters(id).await;
    assert!(attempt > 3, "waited more often than there are attempts to spend: {attempt}");
    assert_eq!((errors, crashes), (0, 0));
    let mut connection = bench.pool.acquire().await.unwrap();
    let story = inspect::job(&mut connection, id).await.unwrap().expect("the job");
    assert_eq!(story.reason.as_deref(), Some("still being encoded"));
    assert_eq!(story.failures.len(), 1, "only the end is told, not each wait");
    assert!(story.finalized_at >= Some(story.give_up_at), "not before its time");
}

#[tokio::test]
async fn a_panic_and_a_hang_fail_the_attempt_alone() {
    let bench = bench().await;
    let panics = bench.enqueue(step(Act::Panic)).await.id;
    let hangs = bench.enqueue(step(Act::Hang)).await.id;
    let fine = bench.enqueue(step(Act::Succeed)).await.id;
    let worker = bench.worker(options(3));
    bench.until(fine, "completed").await;
    bench.until(panics, "discarded").await;
    bench.until(hangs, "discarded").await;
    worker.stop().await;
    let classes: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT class FROM queue.failed_attempts ORDER BY class")
            .fetch_all(&bench.pool)
            .await
            .unwrap();
    assert_eq!(classes, ["attempt-timeout", "panic"]);
}

#[tokio::test]
async fn a_hook_that_panics_fails_its_attempt_and_takes_nobody_along() {
    let bench = bench().await;
    let beside = bench.enqueue(step(Act::Sleep(1500))).await.id;
    let panics = bench.enqueue(step(Act::PanicInCommit)).await.id;
    let worker = bench.worker(options(2));
    bench.until(panics, "discarded").await;
    bench.until(beside, "completed").await;
    let next = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(next, "completed").await;
    worker.stop().await;
    assert_eq!(bench.counters(beside).await, (1, 0, 0), "the attempt beside it went on");
    assert_eq!(bench.counters(panics).await, (3, 3, 0));
}

#[tokio::test]
async fn hooks_that_the_database_refuses_neither_loop_nor_lose_the_job() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Retry).subject(REFUSED_SUBJECT)).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "discarded").await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (3, 3, 0), "the budget is spent as always");
    assert_eq!(bench.count("SELECT count(*) FROM queue.failed_attempts").await, 3);
}

#[tokio::test]
async fn args_that_cannot_be_read_discard_their_job_alone() {
    let bench = bench().await;
    let bad: uuid::Uuid = sqlx::query_scalar("SELECT id FROM queue.enqueue('step', $1)")
        .bind(json!({ "act": "NoSuchThing" }))
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    let good = bench.enqueue(step(Act::Succeed)).await.id;
    let worker = bench.worker(options(1));
    bench.until(bad, "discarded").await;
    bench.until(good, "completed").await;
    worker.stop().await;
    assert_eq!(bench.effects("discarded:undecodable").await, 1, "its hook ran, from the subject alone");
}
