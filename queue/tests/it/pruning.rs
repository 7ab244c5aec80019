//! Promise 14: one call returns a job with its history; retention deletes small batches and blocks no one
//! else.

use std::time::{Duration, Instant};

use bedel_queue::{JobError, Retention, inspect, prune, run_scheduler};
use tokio_util::sync::CancellationToken;

use crate::manual_job::{manual_job, manual_options, registry};
use crate::support::{Act, Bench, bench, eventually, options, step};

/// Final jobs of this age, each with a failed attempt where it was discarded.
async fn fill(bench: &Bench, state: &str, days: i32, jobs: i32) {
    sqlx::query(
        "WITH made AS (
             INSERT INTO queue.jobs (kind, args, state, attempt, lease, finalized_at, give_up_at, give_up_after, max_attempts,
                                     max_crashes)
             SELECT 'step', '{\"act\": \"Succeed\"}', $1::queue.job_state, 1, gen_random_uuid(),
                    now() - make_interval(days => $2), now(), '1 day', 1, 1
               FROM generate_series(1, $3)
             RETURNING id
         )
         INSERT INTO queue.failed_attempts (job_id, attempt, class, message)
         SELECT id, 1, 'network', 'the line is down' FROM made WHERE $1 = 'discarded'",
    )
    .bind(state)
    .bind(days)
    .bind(jobs)
    .execute(&bench.pool)
    .await
    .unwrap();
}

const FINAL: &str = "SELECT count(*) FROM queue.jobs WHERE finalized_at IS NOT NULL";

#[tokio::test]
async fn prune_takes_each_old_job_once_while_workers_and_other_prunes_run() {
    let bench = bench().await;
    for (state, days, jobs) in [
        ("completed", 8, 900),
        ("completed", 6, 300),
        ("discarded", 31, 200),
        ("discarded", 29, 100),
        ("cancelled", 31, 150),
        ("cancelled", 29, 50),
    ] {
        fill(&bench, state, days, jobs).await;
    }
    for _ in 0..100 {
        bench.enqueue(step(Act::Succeed)).await;
    }
    let retention = Retention { batch: 50, ..Retention::default() };
    let workers = [bench.worker(options(4)), bench.worker(options(4))];
    let mut prunes = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let pool = bench.pool.clone();
        prunes.spawn(async move {
            let mut gone = 0;
            let mut idle = 0;
            while idle < 3 {
                let batch = prune(&pool, &retention).await.unwrap();
                assert!(batch <= 150, "{batch} in one call: at most a batch of each of the three states");
                gone += batch;
                idle = if batch == 0 { idle + 1 } else { 0 };
            }
            gone
        });
    }
    let gone: u64 = prunes.join_all().await.into_iter().sum();
    assert_eq!(gone, 900 + 200 + 150, "each old job once");
    eventually("all live ones completed", async || bench.effects("commit").await == 100).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(
        bench.count(FINAL).await,
        300 + 100 + 50 + 100,
        "young ones and those that ended just now stay"
    );
    assert_eq!(
        bench.count("SELECT count(*) FROM queue.jobs WHERE kind = 'step' AND attempt <> 1").await,
        0,
        "no attempt was disturbed"
    );
    assert_eq!(
        bench.count("SELECT count(*) FROM queue.failed_attempts").await,
        100,
        "history goes with its job"
    );
}

#[tokio::test]
async fn a_prune_that_hangs_holds_up_no_claim_and_a_row_that_is_held_no_prune() {
    let bench = bench().await;
    fill(&bench, "discarded", 40, 20).await;
    let retention = Retention { batch: 10, ..Retention::default() };
    // One of the old jobs is locked: the prune skips it.
    let mut reader = bench.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.jobs ORDER BY finalized_at, id LIMIT 1 FOR UPDATE")
        .execute(&mut *reader)
        .await
        .unwrap();
    let pruned = tokio::time::timeout(Duration::from_secs(10), prune(&bench.pool, &retention)).await;
    assert_eq!(pruned.expect("it does not wait for a reader").unwrap(), 10);
    reader.rollback().await.unwrap();

    // A prune that blocks inside its statement, with its rows locked.
    let mut blocker = bench.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.failed_attempts FOR UPDATE").execute(&mut *blocker).await.unwrap();
    let pool = bench.pool.clone();
    let hanging = tokio::spawn(async move { prune(&pool, &retention).await });
    eventually("the prune waits", async || {
        bench.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%prune%'").await
            > 0
    })
    .await;
    for _ in 0..20 {
        bench.enqueue(step(Act::Succeed)).await;
    }
    let worker = bench.worker(options(4));
    eventually("all completed meanwhile", async || bench.effects("commit").await == 20).await;
    assert!(!hanging.is_finished());
    blocker.rollback().await.unwrap();
    assert_eq!(hanging.await.unwrap().unwrap(), 10);
    worker.stop().await;
}

#[tokio::test]
async fn a_scheduler_prunes_batch_after_batch_and_stops_at_once_while_the_database_hangs() {
    let bench = bench().await;
    fill(&bench, "completed", 8, 1000).await;
    let stop = CancellationToken::new();
    let retention = Retention { batch: 20, ..Retention::default() };
    let scheduler = tokio::spawn(run_scheduler(bench.queue.clone(), Vec::new(), retention, stop.clone()));
    // One batch per second would take 50 s.
    eventually("all pruned", async || bench.count(FINAL).await == 0).await;
    let mut blocker = bench.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE queue.jobs IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    eventually("the scheduler waits", async || {
        bench.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%prune%'").await
            > 0
    })
    .await;
    let asked = Instant::now();
    stop.cancel();
    scheduler.await.unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    blocker.rollback().await.unwrap();
}

#[tokio::test]
async fn a_jobs_whole_story_is_one_call() {
    let bench = bench().await;
    let id = bench.enqueue(manual_job()).await.id;
    let (kinds, mut turns) = registry();
    let worker = bench.worker_of(kinds.clone(), manual_options(1));
    turns.next().await.end(Err(JobError::retry("network", "the line is down")));
    turns.next().await.end(Err(JobError::wait("encoding", "not yet", Duration::from_millis(50))));
    let crashing = turns.next().await;
    // As if another process had run it and died.
    sqlx::query(
        "UPDATE queue.jobs SET worker_id = gen_random_uuid(), lease = gen_random_uuid() WHERE id = $1",
    )
    .bind(id)
    .execute(&bench.pool)
    .await
    .unwrap();
    let last = turns.next().await;
    drop(crashing);
    last.end(Err(JobError::fatal("gone", "it was deleted")));
    bench.until(id, "discarded").await;
    worker.stop().await;
    let mut connection = bench.pool.acquire().await.unwrap();
    let story = inspect::job(&mut connection, id).await.unwrap().expect("the job");
    let found: Vec<_> = story.failures.iter().map(|failed| (failed.attempt, failed.class.as_str())).collect();
    assert_eq!(
        found,
        [(1, "network"), (3, "crashed"), (4, "gone")],
        "each failed attempt, no wait, in order"
    );
    assert!(story.failures.is_sorted_by_key(|failed| failed.failed_at));
    assert!(story.failures.iter().all(|failed| failed.worker.is_some() && !failed.message.is_empty()));
    assert_eq!((story.attempt, story.errors, story.crashes), (4, 2, 0), "one crash counts nothing");
    assert_eq!(story.reason.as_deref(), Some("it was deleted"));
}
