//! Promises 8 and 9: priorities and jobs scheduled for later, with several workers.

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_queue::{Attempt, Job, JobError, NewJob, Policy, WorkerOptions, enqueue_many, inspect};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::support::{Act, Lab, bench, eventually, options, registry, step};

#[tokio::test]
async fn an_urgent_job_overtakes_the_backlog_of_two_workers() {
    let bench = bench().await;
    for _ in 0..60 {
        bench.enqueue(step(Act::Sleep(40)).priority(4)).await;
    }
    let workers = [bench.worker(options(2)), bench.worker(options(2))];
    eventually("under way", async || bench.effects("run").await >= 6).await;
    let urgent = bench.enqueue(step(Act::Succeed).priority(1)).await.id;
    let before = bench.effects("run").await;
    bench.until(urgent, "completed").await;
    let place: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM effects
          WHERE what = 'run' AND n < (SELECT n FROM effects WHERE what = 'run' AND job_id = $1)",
    )
    .bind(urgent)
    .fetch_one(&bench.pool)
    .await
    .unwrap();
    // Each of the four slots may have begun one job between the enqueue and the count, and one more before it
    // was free.
    assert!(place <= before + 8, "{place} runs came first, {before} of them before it was there");
    assert!(bench.effects("run").await < 60, "the backlog was not done anyway");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn priorities_hold_across_claims_and_equal_ones_go_by_time() {
    let bench = bench().await;
    let mut expected = Vec::new();
    for priority in [4, 2, 3, 1] {
        for nth in 0..3 {
            let id = bench.enqueue(step(Act::Succeed).priority(priority)).await.id;
            expected.push((priority, nth, id));
        }
    }
    expected.sort_unstable();
    let worker = bench.worker(options(1)); // one slot: one claim for each job
    eventually("all done", async || bench.effects("commit").await == 12).await;
    worker.stop().await;
    let order: Vec<Uuid> = sqlx::query_scalar("SELECT job_id FROM effects WHERE what = 'run' ORDER BY n")
        .fetch_all(&bench.pool)
        .await
        .unwrap();
    assert_eq!(order, expected.iter().map(|(_, _, id)| *id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_job_scheduled_for_later_starts_when_it_is_due_and_not_before() {
    let bench = bench().await;
    let mut ids = Vec::new();
    for delay in [400, 800, 1200] {
        // An earlier claim must not take it, even with its priority.
        ids.push(bench.enqueue(step(Act::Succeed).priority(1).delay(Duration::from_millis(delay))).await.id);
        bench.enqueue(step(Act::Succeed).priority(4)).await;
    }
    let workers = [bench.worker(options(4)), bench.worker(options(4))];
    let mut connection = bench.pool.acquire().await.unwrap();
    for id in ids {
        bench.until(id, "completed").await;
        let job = inspect::job(&mut connection, id).await.unwrap().expect("the job");
        let late = job.attempted_at.expect("claimed") - job.run_at;
        assert!(late >= chrono::TimeDelta::zero(), "{late} early");
        // A due time sends no wake-up: the poll of 0.1 s finds the job. The rest is noise of a busy machine.
        assert!(late < chrono::TimeDelta::seconds(2), "{late} late");
        assert_eq!(job.attempt, 1);
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_job_starts_soon_although_another_kind_has_nothing_to_do() {
    let bench = bench().await;
    let backlog: Vec<_> = (0..3000).map(|_| NewJob::new(&Tick(5))).collect();
    enqueue_many(&mut bench.pool.acquire().await.unwrap(), &backlog).await.unwrap();
    let slots = BTreeMap::from([("tick".to_owned(), 4), ("step".to_owned(), 4)]);
    let registry = registry(&bench.pool).register::<Tick>();
    let worker = bench.worker_of(registry, WorkerOptions { slots, ..options(0) });
    const DONE: &str = "SELECT count(*) FROM queue.jobs WHERE kind = 'tick' AND state = 'completed'";
    eventually("under way", async || bench.count(DONE).await > 100).await;
    // A row of a transaction that took long, or of a queue that was paused.
    let late = bench.enqueue(NewJob::new(&Tick(5))).await.id;
    sqlx::query("UPDATE queue.jobs SET run_at = run_at - interval '1 hour' WHERE id = $1")
        .bind(late)
        .execute(&bench.pool)
        .await
        .unwrap();
    bench.until(late, "completed").await;
    let waited: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM attempted_at - created_at)::float8 FROM queue.jobs WHERE id = $1",
    )
    .bind(late)
    .fetch_one(&bench.pool)
    .await
    .unwrap();
    // 250 ms, and some for a busy machine.
    assert!(waited < 0.75, "{waited} s");
    assert!(bench.count(DONE).await < 2500, "the backlog was nearly done anyway");
    worker.stop().await;
}

/// A plain kind that takes the given number of milliseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Tick(u64);

impl Job for Tick {
    const KIND: &'static str = "tick";
    type Context = Lab;
    type Output = ();

    fn policy() -> Policy {
        Policy::default()
    }

    async fn run(&self, _: &Lab, _: &Attempt) -> Result<(), JobError> {
        tokio::time::sleep(Duration::from_millis(self.0)).await;
        Ok(())
    }
}
