//! Promise 6: a job that kills its process ends by its budget, and takes no innocents with it. Real processes, real aborts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bedel_queue::{
    Attempt, Backoff, Commit, End, Job, JobError, NewJob, Policy, Registry, WorkerOptions, run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::liveness::{Process, in_process};
use crate::support::{Bench, bench, eventually, options};

/// What the attempt does.
#[derive(Debug, Serialize, Deserialize)]
enum Deed {
    /// Aborts its process after this number of milliseconds.
    Abort(u64),
    /// Saves a new checkpoint, then aborts.
    CheckpointThenAbort,
    Sleep(u64),
}

impl Job for Deed {
    const KIND: &'static str = "deed";
    type Context = PgPool;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            max_attempts: 3,
            backoff: Backoff { first: Duration::ZERO, max: Duration::ZERO },
            ..Policy::default()
        }
    }

    async fn run(&self, pool: &PgPool, attempt: &Attempt) -> Result<(), JobError> {
        sqlx::query("INSERT INTO effects (job_id, lease, what) VALUES ($1, $2, 'run')")
            .bind(attempt.job_id)
            .bind(attempt.lease)
            .execute(pool)
            .await?;
        match self {
            Self::Abort(ms) => {
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                std::process::abort()
            }
            Self::CheckpointThenAbort => {
                attempt.save_checkpoint(&attempt.number).await?;
                std::process::abort()
            }
            Self::Sleep(ms) => {
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                Ok(())
            }
        }
    }

    async fn commit(
        &self,
        _: &PgPool,
        _: &Attempt,
        (): &(),
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done())
    }

    async fn ended(_: &PgPool, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        sqlx::query("INSERT INTO effects (job_id, what) VALUES ($1, 'ended:' || $2)")
            .bind(end.subject)
            .bind(&end.class)
            .execute(tx)
            .await?;
        Ok(Vec::new())
    }
}

/// Not a test: the code that the processes below run.
#[tokio::test]
async fn worker_process() {
    let Some((queue, slots)) = in_process().await else { return };
    let registry = Registry::new(queue.pool().clone()).register::<Deed>();
    let options = deeds(slots);
    run_worker(queue, registry, options, CancellationToken::new()).await.unwrap();
}

/// A busy worker takes its first suspect after 4 s.
fn deeds(slots: usize) -> WorkerOptions {
    let slots = BTreeMap::from([("deed".to_owned(), slots)]);
    WorkerOptions { slots, suspect_patience: Duration::from_millis(200), ..options(0) }
}

async fn enqueue(bench: &Bench, deed: Deed) -> Uuid {
    bench.enqueue(NewJob::new(&deed)).await.id
}

const LIVE: &str = "SELECT count(*) FROM queue.jobs WHERE state IN ('available', 'running')";

/// Keeps one process alive, as a supervisor does, until no job is live. Backoffs after a crash are cut short. Returns how
/// often the process died.
async fn supervise(bench: &Bench, slots: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(150);
    let mut deaths = 0;
    let mut process = Process::running("poison::worker_process", bench, slots);
    while bench.count(LIVE).await > 0 {
        assert!(Instant::now() < deadline, "not in time");
        sqlx::query(
            "UPDATE queue.jobs SET run_at = now() - interval '10 seconds'
              WHERE state = 'available' AND reason = 'the worker process died' AND run_at > now()",
        )
        .execute(&bench.pool)
        .await
        .unwrap();
        if process.has_ended() {
            deaths += 1;
            process = Process::running("poison::worker_process", bench, slots);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    deaths
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_among_ten_that_abort_completes() {
    let bench = bench().await;
    let innocent = enqueue(&bench, Deed::Sleep(5000)).await;
    let mut poison = Vec::new();
    for nth in 0..10 {
        poison.push(enqueue(&bench, Deed::Abort(nth * 40)).await);
    }
    supervise(&bench, 4).await;
    assert_eq!(bench.state(innocent).await, "completed");
    assert!(bench.counters(innocent).await.2 <= 1, "it spent its crashes beside others");
    for id in poison {
        assert_eq!(bench.state(id).await, "discarded");
        assert_eq!(bench.counters(id).await.2, 3);
    }
    assert_eq!(bench.effects("ended:crashed").await, 10, "the hook ran in a process that knows the kind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_saves_a_checkpoint_before_each_abort_ends_when_its_time_is_up() {
    let bench = bench().await;
    let id = enqueue(&bench, Deed::CheckpointThenAbort).await;
    sqlx::query("UPDATE queue.jobs SET give_up_at = now() + interval '5 seconds' WHERE id = $1")
        .bind(id)
        .execute(&bench.pool)
        .await
        .unwrap();
    let deaths = supervise(&bench, 2).await;
    assert_eq!(bench.state(id).await, "discarded");
    assert!(deaths >= 2, "progress spends nothing before");
    assert_eq!(bench.effects("ended:crashed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_crash_after_progress_is_followed_by_a_longer_pause() {
    let bench = bench().await;
    let id = enqueue(&bench, Deed::CheckpointThenAbort).await;
    let mut pauses = Vec::new();
    for round in 0..3 {
        if round == 2 {
            // A suspect now.
            sqlx::query("UPDATE queue.jobs SET crashes = 2 WHERE id = $1")
                .bind(id)
                .execute(&bench.pool)
                .await
                .unwrap();
        }
        let mut process = Process::running("poison::worker_process", &bench, 1);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !process.has_ended() {
            assert!(Instant::now() < deadline, "it crashes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut watcher = options(0);
        watcher.slots.clear();
        let watcher = bench.worker(watcher);
        bench.until(id, "available").await;
        watcher.stop().await;
        let pause: f64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM run_at - failed_at)::float8 FROM queue.jobs JOIN queue.failed_attempts ON job_id = id
              WHERE id = $1 ORDER BY failed_attempts.attempt DESC LIMIT 1",
        )
        .bind(id)
        .fetch_one(&bench.pool)
        .await
        .unwrap();
        pauses.push(pause);
        assert_eq!(bench.counters(id).await.2, 0, "progress spends nothing");
        sqlx::query("UPDATE queue.jobs SET run_at = now() WHERE id = $1")
            .bind(id)
            .execute(&bench.pool)
            .await
            .unwrap();
    }
    assert_eq!(pauses, [1.0, 2.0, 4.0]);
}

async fn make_suspect(bench: &Bench, deed: Deed) -> Uuid {
    let id = enqueue(bench, deed).await;
    sqlx::query(
        "UPDATE queue.jobs SET crashes = 1, attempt = 2, run_at = run_at - interval '1 minute' WHERE id = $1",
    )
    .bind(id)
    .execute(&bench.pool)
    .await
    .unwrap();
    id
}

/// Runs a worker until no job is live. No job may run beside a suspect that has begun.
async fn run_beside(bench: &Bench) {
    let worker = bench.worker_of(Registry::new(bench.pool.clone()).register::<Deed>(), deeds(4));
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.count(LIVE).await > 0 {
        let beside = bench
            .count(
                "SELECT count(*) FROM queue.jobs AS suspect JOIN queue.jobs AS other ON other.id <> suspect.id
                  WHERE suspect.state = 'running' AND suspect.alone AND other.state = 'running'",
            )
            .await;
        assert_eq!(beside, 0, "a suspect had company");
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspects_run_alone_beside_a_backlog_and_each_gets_its_turn() {
    let bench = bench().await;
    for nth in 0..40 {
        enqueue(&bench, Deed::Sleep(50 + nth)).await;
    }
    for _ in 0..3 {
        make_suspect(&bench, Deed::Sleep(100)).await;
    }
    run_beside(&bench).await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await, 43);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_makes_room_for_a_suspect_and_gives_it_back_if_that_takes_too_long() {
    let bench = bench().await;
    let long = enqueue(&bench, Deed::Sleep(12_000)).await;
    for _ in 0..1500 {
        enqueue(&bench, Deed::Sleep(40)).await;
    }
    let worker = bench.worker_of(Registry::new(bench.pool.clone()).register::<Deed>(), deeds(4));
    bench.until(long, "running").await;
    let suspect = make_suspect(&bench, Deed::Sleep(10)).await;
    // While the long job runs, it can only be held.
    eventually("it was held and given back", async || {
        bench.counters(suspect).await.0 > 2 && bench.state(suspect).await == "available"
    })
    .await;
    assert_eq!(bench.state(long).await, "running");
    let place: bool = sqlx::query_scalar("SELECT run_at < created_at FROM queue.jobs WHERE id = $1")
        .bind(suspect)
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert!(place, "it keeps its place");
    bench.until(suspect, "completed").await;
    assert!(bench.count(LIVE).await > 0, "the backlog was done anyway");
    assert_eq!(bench.counters(suspect).await.2, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_a_suspect_that_waited_for_others_counts_nothing() {
    let bench = bench().await;
    let long = enqueue(&bench, Deed::Sleep(60_000)).await;
    let process = Process::running("poison::worker_process", &bench, 4);
    bench.until(long, "running").await;
    let suspect = make_suspect(&bench, Deed::Sleep(10)).await;
    bench.until(suspect, "running").await;
    process.signal("-KILL");
    drop(process);
    let mut watcher = options(0);
    watcher.slots.clear();
    let watcher = bench.worker(watcher);
    bench.until(suspect, "available").await;
    assert_eq!(bench.counters(suspect).await, (3, 0, 1), "it had not begun");
    assert_eq!(bench.effects("run").await, 1, "only the other one had");
    watcher.stop().await;
}
