//! Limits per group, counted over the whole fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_queue::{
    Attempt, Job, JobError, NewJob, Policy, Registry, WorkerOptions, enqueue_many, run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Bench, bench, eventually, options};

/// Notes when it runs and when it is through; a crowd of them tells how many ran at a time.
#[derive(Debug, Serialize, Deserialize)]
struct Fetch {
    milliseconds: u64,
}

impl Job for Fetch {
    const KIND: &'static str = "fetch";
    type Context = PgPool;
    type Output = ();

    fn policy() -> Policy {
        Policy { group_limit: Some(2), ..Policy::default() }
    }

    async fn run(&self, pool: &PgPool, attempt: &Attempt) -> Result<(), JobError> {
        // How many of the group run while this one does, by the rows themselves.
        sqlx::query(
            "INSERT INTO effects (job_id, what)
             SELECT $1, 'busy ' || count(*) FROM queue.jobs
              WHERE state = 'running' AND group_key = (SELECT group_key FROM queue.jobs WHERE id = $1)",
        )
        .bind(attempt.job_id)
        .execute(pool)
        .await?;
        tokio::time::sleep(Duration::from_millis(self.milliseconds)).await;
        Ok(())
    }
}

fn fetch(group: &str, milliseconds: u64) -> NewJob {
    NewJob::new(&Fetch { milliseconds }).group_key(group)
}

fn worker(bench: &Bench, stop: &CancellationToken) -> tokio::task::JoinHandle<()> {
    let options = WorkerOptions { slots: BTreeMap::from([("fetch".to_owned(), 8)]), ..options(0) };
    let (queue, registry) = (bench.queue.clone(), Registry::new(bench.pool.clone()).register::<Fetch>());
    let stop = stop.clone();
    tokio::spawn(async move { run_worker(queue, registry, options, stop).await.unwrap() })
}

async fn enqueue_all(bench: &Bench, jobs: &[NewJob]) {
    let mut connection = bench.pool.acquire().await.unwrap();
    enqueue_many(&mut connection, jobs).await.unwrap();
}

const UNFINISHED: &str = "SELECT count(*) FROM queue.jobs WHERE state IN ('available', 'running')";

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_together_never_run_more_of_a_group_than_its_limit() {
    let bench = bench().await;
    let jobs: Vec<_> = (0..24).map(|_| fetch("slow.example", 30)).collect();
    enqueue_all(&bench, &jobs).await;
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..3).map(|_| worker(&bench, &stop)).collect();
    eventually("all fetched", async || bench.count(UNFINISHED).await == 0).await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(bench.effects("busy 1").await + bench.effects("busy 2").await, 24, "more than two at a time");
    assert!(bench.effects("busy 2").await > 0, "the limit was never reached, so nothing was proven");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_group_holds_up_neither_another_group_nor_jobs_without_one() {
    let bench = bench().await;
    let mut jobs: Vec<_> = (0..500).map(|_| fetch("stuck.example", 60_000)).collect();
    jobs.push(fetch("quick.example", 0));
    jobs.push(NewJob::new(&Fetch { milliseconds: 0 }));
    enqueue_all(&bench, &jobs).await;
    let stop = CancellationToken::new();
    let worker = worker(&bench, &stop);
    eventually("the two others are through", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await == 2
    })
    .await;
    let running = bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await;
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(running, 2, "of the stuck group");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_counts_towards_its_group() {
    let bench = bench().await;
    enqueue_all(&bench, &[fetch("host.example", 60_000), fetch("host.example", 60_000)]).await;
    let stop = CancellationToken::new();
    let worker = worker(&bench, &stop);
    eventually("the group is full", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await == 2
    })
    .await;
    enqueue_all(&bench, &[fetch("host.example", 0)]).await;
    sqlx::raw_sql("UPDATE queue.jobs SET crashes = 1, attempt = 1 WHERE state = 'available'")
        .execute(&bench.pool)
        .await
        .unwrap();
    // A job of another group shows that claims were made since.
    enqueue_all(&bench, &[fetch("other.example", 0)]).await;
    bench.queue.wake();
    eventually("the other group's job is through", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await == 1
    })
    .await;
    let suspects: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM queue.jobs WHERE crashes = 1 AND state = 'available'")
            .fetch_all(&bench.pool)
            .await
            .unwrap();
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(suspects.len(), 1, "the suspect was taken into a full group");
}
