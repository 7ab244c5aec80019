//! Promises 1 and 12 for many jobs at a time: a taken key never loses a batch.

use std::sync::Arc;

use bedel_queue::{Enqueued, NewJob, enqueue, enqueue_many};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Act, bench, eventually, step};

const JOBS: &str = "SELECT count(*) FROM queue.jobs";

fn keyed(key: &str) -> NewJob {
    step(Act::Succeed).unique_key(key)
}

#[tokio::test]
async fn keys_that_are_taken_lose_no_job_of_the_batch_and_the_answers_keep_its_order() {
    let bench = bench().await;
    let taken = bench.enqueue(keyed("taken")).await.id;
    let batch = [keyed("z"), step(Act::Fatal), keyed("taken"), keyed("z"), keyed("a"), step(Act::Retry)];
    let mut tx = bench.pool.begin().await.unwrap();
    let answers = enqueue_many(&mut tx, &batch).await.unwrap();
    tx.commit().await.unwrap();
    let created: Vec<bool> = answers.iter().map(|answer| answer.created).collect();
    assert_eq!(created, [true, true, false, false, true, true]);
    assert_eq!(answers[2].id, taken, "the live job is the answer");
    assert_eq!(answers[3].id, answers[0].id, "the later finds the earlier");
    assert_eq!(bench.count(JOBS).await, 5);
    for (answer, act) in [(answers[1], "Fatal"), (answers[5], "Retry")] {
        let stored: String = sqlx::query_scalar("SELECT args->>'act' FROM queue.jobs WHERE id = $1")
            .bind(answer.id)
            .fetch_one(&bench.pool)
            .await
            .unwrap();
        assert_eq!(stored, act, "each answer belongs to the job in its place");
    }
}

#[tokio::test]
async fn a_batch_of_one_kind_exists_as_a_whole_or_not_at_all_and_each_answer_is_its_jobs() {
    let bench = bench().await;
    let batch: Vec<NewJob> = (0..2000)
        .map(|nth| {
            step(Act::Wait(nth)).subject(Uuid::from_u128(u128::from(nth))).group_key(format!("g{}", nth % 7))
        })
        .collect();
    let mut tx = bench.pool.begin().await.unwrap();
    enqueue_many(&mut tx, &batch).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(bench.count(JOBS).await, 0);

    let mut tx = bench.pool.begin().await.unwrap();
    let answers = enqueue_many(&mut tx, &batch).await.unwrap();
    tx.commit().await.unwrap();
    assert!(answers.iter().all(|answer| answer.created));
    let ids: Vec<Uuid> = answers.iter().map(|answer| answer.id).collect();
    type Row = (Uuid, i64, Uuid, String, bool, bool);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, (args->'act'->>'Wait')::bigint, subject, group_key, run_at <= clock_timestamp(), give_up_at > run_at
           FROM queue.jobs ORDER BY run_at",
    )
    .fetch_all(&bench.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2000);
    for (nth, (id, waits, subject, group, due, lasting)) in (0..).zip(rows) {
        assert_eq!(
            (id, waits),
            (ids[nth], i64::try_from(nth).unwrap()),
            "in order, and each is the answer of its place"
        );
        assert_eq!(subject, Uuid::from_u128(nth as u128));
        assert_eq!(group, format!("g{}", nth % 7));
        assert!(due && lasting);
    }
    assert!(ids.is_sorted(), "ids sort by the time and the place");
    assert!(ids.iter().all(|id| id.get_version_num() == 7));
}

#[tokio::test]
async fn batches_with_the_same_keys_at_the_same_time_make_each_job_once() {
    let bench = bench().await;
    let together = Arc::new(Barrier::new(6));
    let mut tasks = JoinSet::new();
    for task in 0..6_usize {
        let (pool, together) = (bench.pool.clone(), Arc::clone(&together));
        tasks.spawn(async move {
            // Each in another order: locking keys as they come would deadlock.
            let mut batch: Vec<NewJob> = (0..400).map(|nth| keyed(&format!("k{nth:03}"))).collect();
            batch.rotate_left(task * 60);
            if task % 2 == 1 {
                batch.reverse();
            }
            let mut tx = pool.begin().await.unwrap();
            together.wait().await;
            let answers = enqueue_many(&mut tx, &batch).await.unwrap();
            tx.commit().await.unwrap();
            answers
        });
    }
    let answers: Vec<Enqueued> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(answers.len(), 6 * 400, "every job of every batch has its answer");
    assert_eq!(answers.iter().filter(|answer| answer.created).count(), 400);
    assert_eq!(bench.count(JOBS).await, 400);
}

/// Two batches that take the same keys in the same order cannot deadlock.
#[tokio::test]
async fn a_batch_takes_its_keys_in_their_order_and_not_in_its_own() {
    let bench = bench().await;
    let mut held = bench.pool.begin().await.unwrap();
    enqueue(&mut held, &keyed("m")).await.unwrap();
    let pool = bench.pool.clone();
    let batch = tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        let answers = enqueue_many(&mut tx, &[keyed("m"), keyed("a")]).await.unwrap();
        tx.commit().await.unwrap();
        answers
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the batch waits for `m`", async || bench.count(waiting).await == 1).await;
    let mut other = bench.pool.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL lock_timeout = '200ms'").execute(&mut *other).await.unwrap();
    enqueue(&mut other, &keyed("a")).await.expect_err("the batch has taken `a` already");
    other.rollback().await.unwrap();
    held.commit().await.unwrap();
    let created: Vec<bool> = batch.await.unwrap().iter().map(|answer| answer.created).collect();
    assert_eq!(created, [false, true]);
}

#[tokio::test]
async fn a_key_whose_transaction_is_not_decided_is_waited_for() {
    for commits in [true, false] {
        let bench = bench().await;
        let mut first = bench.pool.begin().await.unwrap();
        let undecided = enqueue(&mut first, &keyed("one")).await.unwrap();
        let pool = bench.pool.clone();
        let second = tokio::spawn(async move {
            let mut tx = pool.begin().await.unwrap();
            let answers = enqueue_many(&mut tx, &[keyed("one"), step(Act::Succeed)]).await.unwrap();
            tx.commit().await.unwrap();
            answers
        });
        eventually("the second waits", async || {
            bench
                .count("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
                .await
                > 0
        })
        .await;
        if commits {
            first.commit().await.unwrap()
        } else {
            first.rollback().await.unwrap()
        }
        let answers = second.await.unwrap();
        assert_eq!(answers[0].created, !commits);
        assert_eq!(answers[0].id == undecided.id, commits);
        assert!(answers[1].created, "the rest of the batch is there either way");
        assert_eq!(bench.count(JOBS).await, 2);
    }
}
