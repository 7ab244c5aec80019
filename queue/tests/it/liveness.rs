//! Promises 4, 5 and 6: workers that die, pause or lose the database. Real processes, real signals.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bedel_queue::Queue;
use bedel_test_support::{PgProxy, Statement};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

use crate::support::{Act, Bench, bench, eventually, options, registry, step};

const URL: &str = "QUEUE_TEST_WORKER_URL";

/// Not a test: the code that the processes below run. It does nothing unless one of them started it.
#[tokio::test]
async fn worker_process() {
    let Some((queue, slots)) = in_process().await else { return };
    let registry = registry(queue.pool());
    bedel_queue::run_worker(queue, registry, options(slots), CancellationToken::new()).await.unwrap();
}

/// Settings of a process started by a test. None otherwise.
pub async fn in_process() -> Option<(Queue, usize)> {
    let url = std::env::var(URL).ok()?;
    let slots = std::env::var("QUEUE_TEST_SLOTS").map_or(4, |slots| slots.parse().unwrap());
    Some((Queue::new(PgPool::connect(&url).await.unwrap()), slots))
}

/// A worker process that is killed when the test ends.
pub struct Process(Child);

impl Process {
    pub fn start(bench: &Bench, slots: usize) -> Self {
        Self::running("liveness::worker_process", bench, slots)
    }

    /// A process that runs this one test.
    pub fn running(test: &str, bench: &Bench, slots: usize) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(URL, &bench.url)
            .env("QUEUE_TEST_SLOTS", slots.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

impl Process {
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_killed_worker_is_rescued_by_another_and_the_crash_is_recorded() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Sleep(1500))).await.id;
    let victim = Process::start(&bench, 1);
    bench.until(id, "running").await;
    victim.signal("-KILL");
    let killed = Instant::now();
    let rescuer = bench.worker(options(1));
    eventually("rescued", async || bench.state(id).await != "running").await;
    // beat 0.2 s, dead after 1 s: the same rule that gives 15 s at the defaults gives 1.5 s here; the rest is
    // noise.
    assert!(killed.elapsed() < Duration::from_secs(4), "{:?}", killed.elapsed());
    assert!(killed.elapsed() > Duration::from_millis(900), "rescued before it was known to be dead");
    bench.until(id, "completed").await;
    rescuer.stop().await;
    assert_eq!(bench.counters(id).await, (2, 0, 0), "a first crash is only remembered");
    let found: (i32, String) = sqlx::query_as("SELECT attempt, class FROM queue.failed_attempts")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert_eq!(found, (1, "crashed".to_owned()));
    assert_eq!(bench.effects("commit").await, 1);
}

#[tokio::test]
async fn a_worker_that_slept_past_its_rescue_writes_nothing_and_continues() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Sleep(1000))).await.id;
    let sleeper = Process::start(&bench, 1);
    // Not during its begin: an open transaction holds the row until the server ends it.
    eventually("the attempt runs", async || bench.effects("run").await == 1).await;
    sleeper.signal("-STOP");
    let rescuer = bench.worker(options(1));
    bench.until(id, "completed").await;
    sleeper.signal("-CONT");
    // It is still alive: it takes the next job after the rescuer has stopped.
    rescuer.stop().await;
    let next = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(next, "completed").await;
    assert_eq!(bench.effects("commit").await, 2, "one commit per job");
    assert_eq!(bench.counters(id).await, (2, 0, 0));
}

#[tokio::test]
async fn a_healthy_worker_is_never_rescued_however_long_it_runs() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Sleep(1900))).await.id; // nearly twice "dead after"
    let worker = bench.worker(options(1));
    bench.until(id, "running").await;
    let watcher = bench.worker(options(1));
    bench.until(id, "completed").await;
    worker.stop().await;
    watcher.stop().await;
    assert_eq!(bench.counters(id).await, (1, 0, 0));
}

#[tokio::test]
async fn a_running_row_without_a_worker_is_rescued() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    sqlx::query(
        "UPDATE queue.jobs SET state = 'running', lease = gen_random_uuid(), worker_id = gen_random_uuid(),
                attempt = 1, attempted_at = now() WHERE id = $1",
    )
    .bind(id)
    .execute(&bench.pool)
    .await
    .unwrap();
    let worker = bench.worker(options(1));
    bench.until(id, "completed").await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (2, 0, 0));
}

#[tokio::test]
async fn a_job_claimed_by_an_answer_that_was_lost_is_released_by_the_beat() {
    let bench = bench().await;
    let proxy = PgProxy::start(&bench.pool.connect_options()).unwrap();
    let pool = PgPoolOptions::new().connect_with(proxy.options()).await.unwrap();
    let through = Bench { queue: Queue::new(pool.clone()), pool, url: bench.url.clone() };
    let mut answer = proxy.lose_answer(Statement::ClaimOf("step"));
    let worker = through.worker(options(1));
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(id, "completed").await;
    assert!(answer.is_lost());
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (2, 0, 0), "no budget spent");
}

#[tokio::test]
async fn an_outage_of_the_database_ends_no_attempt_and_no_worker() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Sleep(1500))).await.id;
    let worker = bench.victim().await.worker(options(1));
    eventually("the attempt runs", async || bench.effects("run").await == 1).await;
    // Every session of the worker is ended, again and again, while the attempt does its local work.
    for _ in 0..20 {
        let _ = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name IN ('victim', 'bedel-heartbeat')",
        )
        .execute(&bench.pool)
        .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.until(id, "completed").await;
    let next = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(next, "completed").await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (1, 0, 0));
}
