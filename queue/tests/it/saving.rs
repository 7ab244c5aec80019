//! Promises 3 and 15: what an attempt writes while it runs is fenced, durable when it says so, and throttled.

use std::time::{Duration, Instant};

use bedel_queue::JobError;
use uuid::Uuid;

use crate::manual_job::{Turn, manual_job, manual_options, note_writes, registry};
use crate::support::{Bench, bench, eventually};

const SAVES: &str = "SELECT count(*) FROM writes WHERE statement LIKE '%save_checkpoint%'";
const TOLD: &str = "SELECT count(*) FROM writes WHERE statement LIKE '%progress%'";

async fn checkpoint(bench: &Bench, turn: &Turn) -> Option<i64> {
    sqlx::query_scalar("SELECT checkpoint::text::bigint FROM queue.jobs WHERE id = $1")
        .bind(turn.attempt.job_id)
        .fetch_one(&bench.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_checkpoint_is_durable_when_the_call_returns_and_a_burst_is_slowed_down() {
    let bench = bench().await;
    note_writes(&bench.pool).await;
    bench.enqueue(manual_job()).await;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds, manual_options(1));
    let turn = turns.next().await;
    let begun = Instant::now();
    for piece in 1..=6_i64 {
        turn.attempt.save_checkpoint(&piece).await.unwrap();
        assert_eq!(checkpoint(&bench, &turn).await, Some(piece), "in the row, not in memory");
    }
    let one_by_one = begun.elapsed();
    assert!(one_by_one >= Duration::from_secs(1), "six writes in {one_by_one:?}");
    assert_eq!(bench.count(SAVES).await, 6);

    // Clones of the attempt in parallel tasks of one handler share the limit.
    let mut tasks = tokio::task::JoinSet::new();
    for piece in 11..=14_i64 {
        let attempt = turn.attempt.clone();
        tasks.spawn(async move { attempt.save_checkpoint(&piece).await });
    }
    for saved in tasks.join_all().await {
        saved.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(1800), "ten in {:?}", begun.elapsed());
    assert_eq!(bench.count(SAVES).await, 10);
    turn.end(Ok(()));
    worker.stop().await;
}

#[tokio::test]
async fn a_checkpoint_that_did_not_change_is_not_written_again() {
    let bench = bench().await;
    note_writes(&bench.pool).await;
    bench.enqueue(manual_job()).await;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds, manual_options(1));
    let first = turns.next().await;
    first.attempt.save_checkpoint(&7).await.unwrap();
    for _ in 0..3 {
        first.attempt.save_checkpoint(&7).await.unwrap();
    }
    assert_eq!(bench.count(SAVES).await, 1);
    first.end(Err(JobError::retry("network", "again")));
    // Nor by the next attempt, which starts from it; going back to an earlier value is a change.
    let second = turns.next().await;
    assert_eq!(second.attempt.checkpoint(), Some(7));
    second.attempt.save_checkpoint(&7).await.unwrap();
    assert_eq!(bench.count(SAVES).await, 1);
    second.attempt.save_checkpoint(&8).await.unwrap();
    second.attempt.save_checkpoint(&7).await.unwrap();
    assert_eq!(bench.count(SAVES).await, 3);
    assert_eq!(checkpoint(&bench, &second).await, Some(7));
    second.end(Ok(()));
    worker.stop().await;
}

#[tokio::test]
async fn progress_is_written_once_per_beat_and_only_where_it_changed() {
    let bench = bench().await;
    note_writes(&bench.pool).await;
    for _ in 0..2 {
        bench.enqueue(manual_job()).await;
    }
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds, manual_options(2));
    let (one, two) = (turns.next().await, turns.next().await);
    let beats = async || bench.count("SELECT max(beat) FROM queue.workers").await;

    // Told far more often than there are beats.
    let first = beats().await;
    let (mut calls, deadline) = (0_u32, Instant::now() + Duration::from_secs(20));
    while beats().await < first + 5 {
        for _ in 0..100 {
            calls += 1;
            one.attempt.set_progress(f64::from(calls % 1000) / 1000.0);
        }
        assert!(Instant::now() < deadline);
    }
    let (written, passed) = (bench.count(TOLD).await, beats().await - first + 1);
    assert!((3..=passed).contains(&written), "{written} writes of {calls} calls in {passed} beats");

    // The same value again and again: written once.
    one.attempt.set_progress(0.25);
    two.attempt.set_progress(0.75);
    let stored = async || bench.count("SELECT count(*) FROM queue.jobs WHERE progress IN (0.25, 0.75)").await;
    eventually("both stored", async || stored().await == 2).await;
    let (before, first) = (bench.count(TOLD).await, beats().await);
    eventually("three beats later", async || {
        one.attempt.set_progress(0.25);
        two.attempt.set_progress(0.75);
        beats().await >= first + 3
    })
    .await;
    assert_eq!(bench.count(TOLD).await, before, "an unchanged value was written");
    one.end(Ok(()));
    two.end(Ok(()));
    worker.stop().await;
}

/// As if a rescuer had given the job to another worker, which is alive.
async fn take_over(bench: &Bench, job: Uuid) {
    sqlx::query(
        "WITH other AS (INSERT INTO queue.workers (id, name) VALUES (gen_random_uuid(), 'other') RETURNING id)
         UPDATE queue.jobs SET lease = gen_random_uuid(), worker_id = other.id FROM other WHERE jobs.id = $1",
    )
    .bind(job)
    .execute(&bench.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn each_write_of_an_attempt_without_its_lease_is_refused() {
    let bench = bench().await;
    for _ in 0..2 {
        bench.enqueue(manual_job()).await;
    }
    let (kinds, mut turns) = registry();
    // Neither a beat nor a drain tells the attempts what happened: each write has to find out by itself.
    let mut deaf = manual_options(2);
    deaf.beat = Duration::from_secs(60);
    deaf.drain = Duration::from_secs(20);
    let worker = bench.worker_of(kinds, deaf);
    let (fails, succeeds) = (turns.next().await, turns.next().await);
    fails.attempt.save_checkpoint(&1).await.unwrap();
    for turn in [&fails, &succeeds] {
        take_over(&bench, turn.attempt.job_id).await;
    }
    note_writes(&bench.pool).await;
    assert_eq!(fails.attempt.check_lease().await.unwrap_err().class(), "lost-lease");
    assert_eq!(
        fails.attempt.save_checkpoint(&1).await.unwrap_err().class(),
        "lost-lease",
        "what is in the row"
    );
    assert_eq!(fails.attempt.save_checkpoint(&2).await.unwrap_err().class(), "lost-lease");
    fails.end(Err(JobError::fatal("gone", "beyond help")));
    succeeds.end(Ok(()));
    worker.stop().await; // waits for both
    assert_eq!(bench.count("SELECT count(*) FROM writes").await, 0);
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM queue.failed_attempts").await, 0);
    assert_eq!(bench.count("SELECT count(*) FROM effects").await, 0, "hooks went with their transactions");
}

#[tokio::test]
async fn progress_of_an_attempt_without_its_lease_is_not_written() {
    let bench = bench().await;
    bench.enqueue(manual_job()).await;
    let (kinds, mut turns) = registry();
    let mut patient = manual_options(1);
    patient.dead_after = Duration::from_secs(60); // the other one does not beat
    let worker = bench.worker_of(kinds, patient);
    let turn = turns.next().await;
    turn.attempt.set_progress(0.5);
    eventually("stored", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE progress = 0.5").await == 1
    })
    .await;
    take_over(&bench, turn.attempt.job_id).await;
    turn.attempt.set_progress(0.75);
    // The beat cancels the attempt; the value told meanwhile meets another lease.
    eventually("cancelled", async || turn.attempt.cancellation().is_cancelled()).await;
    worker.stop().await;
    assert_eq!(
        bench.count("SELECT count(*) FROM queue.jobs WHERE progress = 0.5 AND state = 'running'").await,
        1
    );
}
