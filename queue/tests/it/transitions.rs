//! Promises 2, 3 and 15: fenced short transactions, an unknown outcome resolved by reading, checkpoints handed on.

use uuid::Uuid;

use crate::manual_job::{keep_leases, lose_leases};
use crate::support::{Act, bench, eventually, options, step};

#[tokio::test]
async fn a_transition_is_one_transaction_with_one_successor() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let first = bench.enqueue(step(Act::Chain).subject(subject).unique_key("chain")).await;
    let worker = bench.worker(options(2));
    eventually("both completed", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await == 2
    })
    .await;
    worker.stop().await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 2);
    // The begin, the commit and the completion share their transaction with the queue's own writes.
    assert_eq!(bench.effects("begin").await, 2);
    assert_eq!(bench.effects("commit").await, 2);
    assert_eq!(bench.state(first.id).await, "completed");
}

#[tokio::test]
async fn an_attempt_without_its_lease_writes_nothing() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Sleep(600))).await.id;
    let mut slow = options(1);
    slow.drain = std::time::Duration::from_secs(5);
    slow.beat = std::time::Duration::from_secs(60); // this worker learns nothing from its heartbeat in time
    let worker = bench.worker(slow);
    eventually("the attempt runs", async || bench.effects("run").await == 1).await;
    // Somebody else owns the job now: a rescuer, a cancel, a new claim.
    sqlx::query(
        "UPDATE queue.jobs SET lease = gen_random_uuid(), worker_id = gen_random_uuid() WHERE id = $1",
    )
    .bind(id)
    .execute(&bench.pool)
    .await
    .unwrap();
    worker.stop().await; // waits for the attempt
    assert_eq!(bench.effects("commit").await, 0, "the commit's rows went with its transaction");
    assert_eq!(bench.state(id).await, "running");
    assert_eq!(bench.count("SELECT count(*) FROM queue.failed_attempts").await, 0);
}

#[tokio::test]
async fn an_attempt_that_has_no_lease_from_the_start_does_not_begin() {
    let bench = bench().await;
    lose_leases(&bench.pool).await;
    let lost = bench.enqueue(step(Act::Succeed)).await.id;
    let mut deaf = options(1);
    deaf.beat = std::time::Duration::from_secs(60);
    let worker = bench.worker(deaf);
    bench.until(lost, "running").await;
    keep_leases(&bench.pool).await;
    // The only slot is free again when the attempt has found out.
    let next = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(next, "completed").await;
    assert_eq!(bench.state(lost).await, "running");
    worker.stop().await;
    for what in ["begin", "run", "commit"] {
        assert_eq!(bench.effects(what).await, 1, "{what} of the other job alone");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_by_reading() {
    let bench = bench().await;
    // Sessions whose last statement is COMMIT are ended from outside, before or after the server did it: both outcomes are
    // right as long as there is one of them.
    let subject = Uuid::new_v4();
    let id = bench.enqueue(step(Act::Chain).subject(subject).unique_key("chain")).await.id;
    let pool = bench.pool.clone();
    let assassin = tokio::spawn(async move {
        for _ in 0..400 {
            let _ = sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'victim' AND query = 'COMMIT'",
            )
            .execute(&pool)
            .await;
        }
    });
    let worker = bench.victim().await.worker(options(2));
    bench.until(id, "completed").await;
    assassin.await.unwrap();
    eventually("the successor completed", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await == 2
    })
    .await;
    worker.stop().await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 2, "exactly one successor");
    assert_eq!(bench.effects("commit").await, 2);
}

#[tokio::test]
async fn a_subject_that_is_gone_ends_the_job_as_cancelled() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::SubjectGone)).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "cancelled").await;
    worker.stop().await;
    assert_eq!(bench.effects("cancelled:cancelled").await, 0, "no hook for a subject that is gone");
}

#[tokio::test]
async fn the_next_attempt_gets_the_checkpoint_and_progress_is_stored() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::CheckpointThenHang)).await.id;
    let worker = bench.worker(options(1));
    // Each attempt fails by its timeout of 2 s and hands its checkpoint on.
    bench.until(id, "discarded").await;
    let checkpoint: i64 = sqlx::query_scalar("SELECT checkpoint::text::bigint FROM queue.jobs WHERE id = $1")
        .bind(id)
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert_eq!(checkpoint, 3);
    let told = bench.enqueue(step(Act::Sleep(1500))).await.id;
    eventually("progress stored", async || {
        sqlx::query_scalar::<_, Option<f32>>("SELECT progress FROM queue.jobs WHERE id = $1")
            .bind(told)
            .fetch_one(&bench.pool)
            .await
            .unwrap()
            == Some(0.5)
    })
    .await;
    worker.stop().await;
}
