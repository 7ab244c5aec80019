//! Graphile Worker in Rust. It deletes finished jobs; its backoff cannot be set.

use std::sync::Arc;
use std::time::Duration;

use ::graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, Worker, WorkerContext, WorkerOptions,
    WorkerUtils,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::clock::in_future;
use crate::contender::{Contender, Done, Fill, Producer, Tables, Tuning, Work};
use crate::error::{Result, peer};
use crate::probe::Probe;

const CONCURRENCY: u32 = 100;
/// Each of them polls for itself when one job comes: with 100 the median wait was twice as long.
const PACED_CONCURRENCY: u32 = 4;
const LOCAL_QUEUE: u32 = 500;
const LOCAL_QUEUES: u32 = 1;
const BATCH_DELAY_MS: u64 = 1;
const CONNECTIONS: u32 = 20;

pub struct Graphile;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noop {
    number: u64,
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, ctx: WorkerContext) -> impl IntoTaskHandlerResult {
        let probe = ctx.get_ext::<Arc<Probe>>().expect("the probe was added to the worker");
        probe.run(self.number)
    }
}

/// A worker, which also brings the schema up to date.
async fn worker(pool: PgPool, probe: Arc<Probe>, tuning: &Tuning, paced: bool) -> Result<Worker> {
    let mut options = WorkerOptions::default()
        .pg_pool(pool)
        .concurrency(tuning.count("slots", if paced { PACED_CONCURRENCY } else { CONCURRENCY }))
        .complete_job_batch_delay(Duration::from_millis(tuning.get("delay", BATCH_DELAY_MS)))
        .fail_job_batch_delay(Duration::from_millis(tuning.get("delay", BATCH_DELAY_MS)))
        .listen_os_shutdown_signals(false)
        .add_extension(probe)
        .define_job::<Noop>();
    // With the local queue, some jobs that came one at a time had not started after 30 s.
    let local = if paced { 0 } else { tuning.count("local", LOCAL_QUEUE) };
    if local > 0 {
        let config = LocalQueueConfig::default()
            .with_size(local)
            .with_queue_count(tuning.count("queues", LOCAL_QUEUES));
        options = options.local_queue(config);
    }
    options.init().await.map_err(peer)
}

#[async_trait]
impl Contender for Graphile {
    fn name(&self) -> &'static str {
        "graphile_worker"
    }

    fn version(&self) -> &'static str {
        "0.14.1"
    }

    fn settings(&self, tuning: &Tuning) -> String {
        format!(
            "concurrency {}, local queue of {} x {} (concurrency {PACED_CONCURRENCY} and no local queue for the latency and when idle), completions batched for {} ms, pool of {}; add_jobs of 1,000. Deletes \
             finished jobs; a retry waits 2.7 s, which cannot be set",
            tuning.get("slots", CONCURRENCY.into()),
            tuning.get("queues", LOCAL_QUEUES.into()),
            tuning.get("local", LOCAL_QUEUE.into()),
            tuning.get("delay", BATCH_DELAY_MS),
            tuning.get("connections", CONNECTIONS.into()),
        )
    }

    fn tables(&self) -> Tables {
        Tables {
            schema: "graphile_worker",
            mark: "-- graphile_worker::mark
                   SELECT coalesce(max(id), 0)::text FROM graphile_worker._private_jobs",
            waiting: "-- graphile_worker::waiting
                      SELECT count(*) FROM graphile_worker._private_jobs WHERE id > $1::bigint",
            done: Done::Deleted(
                "-- graphile_worker::done
                 SELECT count(*) FROM graphile_worker._private_jobs WHERE id > $1::bigint",
            ),
            fill: Fill::Nothing,
        }
    }

    async fn setup(&self, url: &str) -> Result<()> {
        let pool = PgPoolOptions::new().connect(url).await?;
        let probe = Arc::new(Probe::new(0, false, false));
        drop(worker(pool.clone(), probe, &Tuning::default(), false).await?);
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, url: &str, _: &Tuning) -> Result<Box<dyn Producer>> {
        let pool = PgPoolOptions::new().min_connections(1).connect(url).await?;
        Ok(Box::new(GraphileProducer { utils: WorkerUtils::new(pool, "graphile_worker") }))
    }

    async fn work(&self, work: Work) -> Result<()> {
        let connections = u32::try_from(work.tuning.get("connections", CONNECTIONS.into())).map_err(peer)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(connections)
            .connect(&work.url)
            .await?;
        let worker = worker(pool, Arc::clone(&work.probe), &work.tuning, work.paced).await?;
        work.gate.pass().await;
        let stop = async {
            work.stop.cancelled().await;
            worker.request_shutdown();
        };
        let (outcome, ()) = tokio::join!(worker.run(), stop);
        outcome.map_err(peer)
    }
}

struct GraphileProducer {
    utils: WorkerUtils,
}

#[async_trait]
impl Producer for GraphileProducer {
    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()> {
        let run_at = delay.map(in_future);
        let spec = JobSpec { run_at, ..JobSpec::default() };
        let jobs: Vec<_> = numbers.iter().map(|number| (Noop { number: *number }, &spec)).collect();
        self.utils.add_jobs(&jobs).await.map_err(peer)?;
        Ok(())
    }

    async fn one(&mut self, number: u64) -> Result<()> {
        self.utils.add_job(Noop { number }, JobSpec::default()).await.map_err(peer)?;
        Ok(())
    }
}
