//! Promises 10 and 11 inside one process, and operators' actions: release at a stop, cancel, retry, pull
//! forward.

use std::time::{Duration, Instant};

use bedel_queue::{Retention, Retried, cancel_subject, prune, pull_forward, retry};
use uuid::Uuid;

use crate::support::{Act, bench, eventually, options, registry, step};

#[tokio::test]
async fn a_stop_gives_running_attempts_a_deadline_and_releases_the_rest_untouched() {
    let bench = bench().await;
    let quick = bench.enqueue(step(Act::Sleep(200))).await.id;
    let long = bench.enqueue(step(Act::Sleep(1900))).await.id;
    let worker = bench.worker(options(2));
    bench.until(quick, "running").await;
    bench.until(long, "running").await;
    let asked = Instant::now();
    worker.stop().await;
    assert!(asked.elapsed() < Duration::from_millis(1500), "drained in {:?}", asked.elapsed());
    assert_eq!(bench.state(quick).await, "completed", "had time to finish");
    assert_eq!(bench.state(long).await, "available", "released");
    assert_eq!(bench.counters(long).await, (1, 0, 0), "no budget spent");
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 0, "the worker took its row away");
}

#[tokio::test]
async fn a_handler_that_ignores_the_stop_does_not_keep_the_worker() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Block(4000))).await.id;
    let worker = bench.worker(options(1));
    eventually("the attempt blocks", async || bench.effects("run").await == 1).await;
    let asked = Instant::now();
    worker.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(bench.state(id).await, "available");
    assert_eq!(bench.effects("commit").await, 0);
}

#[tokio::test]
async fn a_stop_while_the_begin_waits_for_a_lock_spends_no_budget() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    // The begin hook writes to `effects`: it waits for this lock.
    let mut blocker = bench.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE effects IN EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    let worker = bench.worker(options(1));
    bench.until(id, "running").await;
    worker.stop().await;
    assert_eq!(bench.state(id).await, "available");
    assert_eq!(bench.counters(id).await, (1, 0, 0));
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 0);
    blocker.rollback().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_job_stops_within_a_second_and_its_hook_runs_once() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let id = bench.enqueue(step(Act::Hang).subject(subject)).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "running").await;
    let mut tx = bench.pool.begin().await.unwrap();
    assert_eq!(registry(&bench.pool).cancel(&mut tx, id, "not needed").await.unwrap(), Some(id));
    tx.commit().await.unwrap();
    bench.queue.announce_cancellation();
    // A second job proves that the only slot is free again.
    let cancelled = Instant::now();
    let second = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(second, "completed").await;
    assert!(cancelled.elapsed() < Duration::from_secs(1), "{:?}", cancelled.elapsed());
    worker.stop().await;
    assert_eq!(bench.state(id).await, "cancelled");
    assert_eq!(bench.effects("cancelled:cancelled").await, 1);
    assert_eq!(bench.count("SELECT count(*) FROM queue.failed_attempts").await, 0);
}

#[tokio::test]
async fn a_cancel_is_noticed_by_the_beat_where_the_notification_is_lost() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let id = bench.enqueue(step(Act::Hang).subject(subject)).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "running").await;
    let mut connection = bench.pool.acquire().await.unwrap();
    assert_eq!(cancel_subject(&mut connection, subject, "deleted").await.unwrap(), 1);
    // The only slot is free long before the attempt's timeout would free it.
    let cancelled = Instant::now();
    let second = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(second, "completed").await;
    assert!(cancelled.elapsed() < Duration::from_millis(1500), "{:?}", cancelled.elapsed());
    worker.stop().await;
    assert_eq!(bench.state(id).await, "cancelled");
}

#[tokio::test]
async fn cancelling_twice_or_what_has_ended_does_nothing() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    let registry = registry(&bench.pool);
    let mut connection = bench.pool.acquire().await.unwrap();
    assert_eq!(registry.cancel(&mut connection, id, "once").await.unwrap(), Some(id));
    assert_eq!(registry.cancel(&mut connection, id, "twice").await.unwrap(), None);
    assert_eq!(registry.cancel(&mut connection, Uuid::new_v4(), "nobody").await.unwrap(), None);
    assert_eq!(bench.effects("cancelled:cancelled").await, 1);
}

#[tokio::test]
async fn retry_revives_pulls_forward_and_refuses() {
    let bench = bench().await;
    let mut connection = bench.pool.acquire().await.unwrap();
    let subject = Uuid::new_v4();
    let waiting = bench.enqueue(step(Act::Succeed).subject(subject).delay(Duration::from_secs(900))).await.id;
    assert!(pull_forward(&mut connection, subject).await.unwrap());
    assert!(!pull_forward(&mut connection, subject).await.unwrap(), "it is due already");
    assert_eq!(retry(&mut connection, waiting).await.unwrap(), Retried::Now);

    let dead = bench.enqueue(step(Act::Fatal).unique_key("one")).await.id;
    let worker = bench.worker(options(2));
    bench.until(dead, "discarded").await;
    bench.until(waiting, "completed").await;
    worker.stop().await;
    assert_eq!(retry(&mut connection, waiting).await.unwrap(), Retried::Refused, "completed");
    let other = bench.enqueue(step(Act::Succeed).unique_key("one")).await;
    assert_eq!(retry(&mut connection, dead).await.unwrap(), Retried::Refused, "another live job has the key");
    cancel_by_hand(&bench.pool, other.id).await;
    assert_eq!(retry(&mut connection, dead).await.unwrap(), Retried::Now);
    assert_eq!(bench.state(dead).await, "available");
    assert_eq!(bench.counters(dead).await, (1, 0, 0), "fresh budgets; attempts never go down");
    assert_eq!(retry(&mut connection, Uuid::new_v4()).await.unwrap(), Retried::NotFound);
}

async fn cancel_by_hand(pool: &sqlx::PgPool, id: Uuid) {
    sqlx::query("UPDATE queue.jobs SET state = 'cancelled', finalized_at = now() WHERE id = $1")
        .bind(id)
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn prune_takes_old_final_jobs_in_small_batches_and_nothing_else() {
    let bench = bench().await;
    for age in ["10 days", "10 days", "10 days", "1 day"] {
        let id = bench.enqueue(step(Act::Succeed)).await.id;
        sqlx::query(
            "UPDATE queue.jobs SET state = 'completed', lease = id, finalized_at = now() - $2::interval WHERE id = $1",
        )
        .bind(id)
        .bind(sqlx::types::Json(age).0)
        .execute(&bench.pool)
        .await
        .unwrap();
    }
    let live = bench.enqueue(step(Act::Succeed)).await.id;
    let discarded = bench.enqueue(step(Act::Succeed)).await.id;
    sqlx::query(
        "UPDATE queue.jobs SET state = 'discarded', finalized_at = now() - interval '10 days' WHERE id = $1",
    )
    .bind(discarded)
    .execute(&bench.pool)
    .await
    .unwrap();
    let retention = Retention { batch: 2, ..Retention::default() };
    assert_eq!(prune(&bench.pool, &retention).await.unwrap(), 2);
    assert_eq!(prune(&bench.pool, &retention).await.unwrap(), 1);
    assert_eq!(prune(&bench.pool, &retention).await.unwrap(), 0);
    assert_eq!(bench.state(live).await, "available");
    assert_eq!(bench.state(discarded).await, "discarded", "kept longer");
    eventually("two final jobs left", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE finalized_at IS NOT NULL").await == 2
    })
    .await;
}
