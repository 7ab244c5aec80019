//! Promises 1 and 12: transactional enqueue, unique keys over live states.

use bedel_queue::{Enqueued, enqueue, enqueue_many};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Act, bench, options, step};

#[tokio::test]
async fn a_job_exists_if_and_only_if_the_transaction_commits() {
    let bench = bench().await;
    let jobs = async || bench.count("SELECT count(*) FROM queue.jobs").await;
    // With and without a key: two different statements insert them.
    for job in [step(Act::Succeed), step(Act::Succeed).unique_key("one")] {
        let there = jobs().await;
        let mut tx = bench.pool.begin().await.unwrap();
        enqueue(&mut tx, &job).await.unwrap();
        assert_eq!(jobs().await, there, "visible before the commit");
        tx.rollback().await.unwrap();
        assert_eq!(jobs().await, there, "there after a rollback");

        let mut tx = bench.pool.begin().await.unwrap();
        let Enqueued { id, created, .. } = enqueue(&mut tx, &job).await.unwrap();
        tx.commit().await.unwrap();
        assert!(created);
        assert_eq!(bench.state(id).await, "available");
    }
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
async fn a_key_taken_since_the_callers_snapshot_fails_its_transaction_and_the_next_finds_the_job() {
    let bench = bench().await;
    for level in
        ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"]
    {
        let known = step(Act::Succeed).unique_key(format!("{level}: known"));
        let new = step(Act::Succeed).unique_key(format!("{level}: new"));
        let before = bench.queue.enqueue(&known).await.unwrap();
        let mut tx = bench.pool.begin().await.unwrap();
        sqlx::query(level).execute(&mut *tx).await.unwrap();
        // The first statement takes the snapshot.
        let seen = enqueue(&mut tx, &known).await.unwrap();
        assert_eq!((seen.id, seen.created), (before.id, false));
        assert!(enqueue(&mut tx, &step(Act::Succeed)).await.unwrap().created);
        let meanwhile = bench.queue.enqueue(&new).await.unwrap();
        let error = enqueue(&mut tx, &new).await.unwrap_err();
        let code = error.as_database_error().and_then(|refused| refused.code());
        assert_eq!(code.as_deref(), Some("40001"), "{level}: {error}");
        tx.rollback().await.unwrap();

        let mut tx = bench.pool.begin().await.unwrap();
        sqlx::query(level).execute(&mut *tx).await.unwrap();
        let found = enqueue(&mut tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((found.id, found.created), (meanwhile.id, false));
    }
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

#[tokio::test]
async fn a_batch_is_enqueued_by_one_statement_in_its_order() {
    let bench = bench().await;
    let subjects: Vec<Uuid> = (0..500).map(|_| Uuid::new_v4()).collect();
    let jobs: Vec<_> = subjects.iter().map(|subject| step(Act::Succeed).subject(*subject)).collect();
    let mut tx = bench.pool.begin().await.unwrap();
    let enqueued = enqueue_many(&mut tx, &jobs).await.unwrap();
    tx.commit().await.unwrap();
    assert!(enqueued.iter().all(|enqueued| enqueued.created));
    for order in ["id", "run_at"] {
        let sql = format!("SELECT subject FROM queue.jobs ORDER BY {order}");
        let rows: Vec<Uuid> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&bench.pool).await.unwrap();
        assert_eq!(rows, subjects, "by {order}");
    }
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM queue.jobs ORDER BY id").fetch_all(&bench.pool).await.unwrap();
    assert_eq!(ids, enqueued.iter().map(|enqueued| enqueued.id).collect::<Vec<_>>());
    // The same columns as a job that was enqueued alone, except for its own data.
    let alone = bench.enqueue(step(Act::Succeed)).await.id;
    let kinds: i64 = bench
        .count(
            "SELECT count(*) FROM (
                SELECT DISTINCT kind, args, queue, priority, give_up_after, max_attempts, max_crashes, state, attempt,
                       uuid_send(id) IS NOT NULL, get_byte(uuid_send(id), 6) >> 4, get_byte(uuid_send(id), 8) >> 6
                  FROM queue.jobs) AS t",
        )
        .await;
    assert_eq!(kinds, 1, "a job of a batch differs from {alone}");
    let due = bench.count("SELECT count(*) FROM queue.jobs WHERE run_at <= now()").await;
    assert_eq!(due, 501);
}

#[tokio::test]
async fn a_batch_finds_what_is_live_and_what_it_names_twice() {
    let bench = bench().await;
    let live = bench.enqueue(step(Act::Succeed).unique_key("live")).await;
    let jobs = [
        step(Act::Succeed).unique_key("z").priority(1),
        step(Act::Succeed),
        step(Act::Succeed).unique_key("live"),
        step(Act::Succeed).unique_key("z"),
    ];
    let mut connection = bench.pool.acquire().await.unwrap();
    let enqueued = enqueue_many(&mut connection, &jobs).await.unwrap();
    let created: Vec<bool> = enqueued.iter().map(|enqueued| enqueued.created).collect();
    assert_eq!(created, [true, true, false, false]);
    assert_eq!((enqueued[2].id, enqueued[3].id), (live.id, enqueued[0].id));
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 3);
    assert!(enqueue_many(&mut connection, &[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_with_the_same_keys_in_other_orders_never_wait_for_each_other() {
    let bench = bench().await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let pool = bench.pool.clone();
        tasks.spawn(async move {
            for round in 0..10 {
                let mut jobs: Vec<_> =
                    (0..20).map(|n| step(Act::Succeed).unique_key(format!("{round}:{n}"))).collect();
                jobs.rotate_left(task * 2);
                if task % 2 == 0 {
                    jobs.reverse();
                }
                let mut tx = pool.begin().await.unwrap();
                enqueue_many(&mut tx, &jobs).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 200);
}
