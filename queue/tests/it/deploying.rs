//! Promises 5, 6 and 8 during a deploy: processes with and without a kind, side by side.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::manual_job::{manual_job, manual_options, registry};
use crate::support::{Act, Bench, bench, eventually, options, step};

/// As if the process that ran the job had died, with this many counted crashes before.
async fn leave_behind(bench: &Bench, job: Uuid, crashes: i32) {
    sqlx::query(
        "UPDATE queue.jobs SET state = 'running', lease = gen_random_uuid(), worker_id = gen_random_uuid(),
                attempt = $2 + 1, crashes = $2, alone = $2 > 0, attempted_at = now() WHERE id = $1",
    )
    .bind(job)
    .bind(crashes)
    .execute(&bench.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn old_workers_leave_a_new_kind_to_new_ones() {
    let bench = bench().await;
    let new = bench.enqueue(manual_job().priority(1)).await.id;
    let old_worker = bench.worker(options(2));
    let known = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(known, "completed").await;
    assert_eq!(bench.counters(new).await, (0, 0, 0), "not even claimed");
    let (kinds, mut turns) = registry();
    let new_worker = bench.worker_of(kinds, manual_options(1));
    turns.next().await.end(Ok(()));
    bench.until(new, "completed").await;
    new_worker.stop().await;
    old_worker.stop().await;
}

#[tokio::test]
async fn a_rescuer_leaves_an_unknown_kind_to_a_worker_that_knows_it() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let poison = bench.enqueue(manual_job().subject(subject)).await.id;
    leave_behind(&bench, poison, 2).await;
    let old_worker = bench.worker(options(1));
    eventually("rescued", async || bench.counters(poison).await.2 == 3).await;
    // Due at once, with time for a mistake: the old worker claims again before the other job is done.
    sqlx::query("UPDATE queue.jobs SET run_at = now() WHERE id = $1")
        .bind(poison)
        .execute(&bench.pool)
        .await
        .unwrap();
    let known = bench.enqueue(step(Act::Sleep(500))).await.id;
    bench.until(known, "completed").await;
    assert_eq!(bench.state(poison).await, "available", "discarded without its hook");
    assert_eq!(bench.counters(poison).await.0, 3, "claimed by one that cannot run it");
    let (kinds, _turns) = registry();
    let new_worker = bench.worker_of(kinds, manual_options(1));
    bench.until(poison, "discarded").await;
    new_worker.stop().await;
    old_worker.stop().await;
    assert_eq!(bench.effects("manual:crashed").await, 1, "the hook ran, once");
    assert_eq!(bench.effects("run").await, 1, "only the known job ran");
}

#[tokio::test]
async fn a_kind_without_slots_is_left_to_others() {
    let bench = bench().await;
    let (kinds, mut turns) = registry();
    let id = bench.enqueue(manual_job()).await.id;
    let mut none = manual_options(0);
    none.slots = BTreeMap::from([("manual".to_owned(), 0)]);
    let idle = bench.worker_of(kinds.clone(), none);
    eventually("it beats", async || {
        bench.count("SELECT coalesce(max(beat), 0) FROM queue.workers").await >= 3
    })
    .await;
    assert_eq!(bench.state(id).await, "available");
    let busy = bench.worker_of(kinds, manual_options(1));
    turns.next().await.end(Ok(()));
    bench.until(id, "completed").await;
    idle.stop().await;
    busy.stop().await;
}

#[tokio::test]
async fn args_a_deploy_can_no_longer_read_end_with_their_hook_and_no_attempt_is_wasted() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let id: Uuid = sqlx::query_scalar("SELECT id FROM queue.enqueue('manual', '{\"v\": 1}', subject => $1)")
        .bind(subject)
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    let good = bench.enqueue(manual_job()).await.id;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds, manual_options(1));
    bench.until(id, "discarded").await;
    turns.next().await.end(Ok(()));
    bench.until(good, "completed").await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (1, 1, 0), "tried once: it cannot become readable");
    let found: (String, String) = sqlx::query_as("SELECT class, message FROM queue.failed_attempts")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert_eq!(found.0, "undecodable");
    assert!(!found.1.contains('v'), "the message repeats no value: {}", found.1);
    let hook: Uuid = sqlx::query_scalar("SELECT job_id FROM effects WHERE what = 'manual:undecodable'")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert_eq!(hook, subject);
}

#[tokio::test]
async fn a_job_given_back_goes_before_the_backlog() {
    let bench = bench().await;
    let long = bench.enqueue(step(Act::CheckpointThenHang)).await.id;
    let has_saved = async |saves: i64| {
        eventually("a checkpoint", async || {
            bench.count("SELECT coalesce(max(checkpoint::text::bigint), 0) FROM queue.jobs").await == saves
        })
        .await;
    };
    let worker = bench.worker(options(1));
    has_saved(1).await;
    let mut backlog = Vec::new();
    for _ in 0..5 {
        backlog.push(bench.enqueue(step(Act::Succeed)).await.id);
    }
    worker.stop().await;
    assert_eq!(bench.state(long).await, "available");
    let worker = bench.worker(options(1));
    has_saved(2).await;
    for id in &backlog {
        assert_eq!(bench.counters(*id).await, (0, 0, 0), "it was behind the backlog after a stop");
    }
    worker.stop().await;
}
