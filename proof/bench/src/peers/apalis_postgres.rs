//! apalis with its own PostgreSQL backend: polling, and the listener that comes with it.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use ::apalis_postgres::{Config, PgTask, PostgresStorage, queries};
use apalis::prelude::{
    BackendExt as _, BoxDynError, Data, TaskBuilder, WorkerBuilder, WorkerBuilderExt as _, WorkerContext,
};
use async_trait::async_trait;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::contender::{Args, Contender, Done, Fill, Producer, Tables, Tuning, Work};
use crate::error::{Result, peer};
use crate::probe::Probe;

const QUEUE: &str = "noop";
const WORKERS: u32 = 4;
const BATCH: u32 = 100;
const POLL_MS: u64 = 100;
const CONNECTIONS: u32 = 20;

pub struct Apalis;

async fn handle(args: Args, probe: Data<Arc<Probe>>) -> Result<(), BoxDynError> {
    Ok(probe.run(args.number)?)
}

#[async_trait]
impl Contender for Apalis {
    fn name(&self) -> &'static str {
        "apalis-postgres"
    }

    fn version(&self) -> &'static str {
        "1.0.0"
    }

    fn settings(&self, tuning: &Tuning) -> String {
        format!(
            "{} workers a process, each batch_size and concurrency {}, lock_tasks {}, pubsub and poll_with_interval({} ms), pool \
             of {}; push_tasks of 1,000",
            tuning.get("workers", WORKERS.into()),
            tuning.get("batch", BATCH.into()),
            tuning.get("lock", 1) > 0,
            tuning.get("poll", POLL_MS),
            tuning.get("connections", CONNECTIONS.into()),
        )
    }

    fn tables(&self) -> Tables {
        Tables {
            schema: "apalis",
            mark: "-- apalis::mark\nSELECT coalesce(max(id), '') FROM apalis.jobs",
            waiting: "-- apalis::waiting
                      SELECT count(*) FROM apalis.jobs WHERE id > $1 AND status = 'Pending'",
            done: Done::Kept("-- apalis::done\nSELECT count(*) FROM apalis.jobs WHERE id > $1 AND status = 'Done'"),
            fill: Fill::Sql(
                "-- apalis::fill
                 INSERT INTO apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, last_result, lock_at,
                                          done_at, priority)
                 SELECT '00000000000000000000' || lpad(n::text, 6, '0'), 'noop',
                        convert_to(jsonb_build_object('number', n)::text, 'UTF8'), 'Done', 1, 25, now(),
                        '{\"Ok\": null}', now(), now(), 0
                   FROM generate_series(0, $1 - 1) AS n",
            ),
        }
    }

    async fn setup(&self, url: &str) -> Result<()> {
        let pool = PgPoolOptions::new().connect(url).await?;
        PostgresStorage::setup(&pool).await.map_err(peer)?;
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, url: &str, _: &Tuning) -> Result<Box<dyn Producer>> {
        Ok(Box::new(ApalisProducer { connection: PgConnection::connect(url).await? }))
    }

    async fn work(&self, work: Work) -> Result<()> {
        let connections = u32::try_from(work.tuning.get("connections", CONNECTIONS.into())).map_err(peer)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(connections)
            .connect(&work.url)
            .await?;
        let batch = work.tuning.count("batch", BATCH);
        let config =
            Config::default().queue(QUEUE).batch_size(batch).lock_tasks(work.tuning.get("lock", 1) > 0);
        work.gate.pass().await;
        let (mut running, mut contexts) = (JoinSet::new(), Vec::new());
        for index in 0..work.tuning.get("workers", WORKERS.into()) {
            let context = WorkerContext::new(&format!("worker-{}-{index}", process::id()));
            let backend = PostgresStorage::<Args>::new(&pool)
                .with_config(config.clone())
                .with_pubsub()
                .poll_with_interval(Duration::from_millis(work.tuning.get("poll", POLL_MS)));
            let worker = WorkerBuilder::new(&context)
                .backend(backend)
                .concurrency(batch)
                .data(Arc::clone(&work.probe))
                .build(handle);
            running.spawn(worker.run());
            contexts.push(context);
        }
        work.stop.cancelled().await;
        for context in contexts {
            context.stop().map_err(peer)?;
        }
        while let Some(worker) = running.join_next().await {
            worker.map_err(peer)?.map_err(peer)?;
        }
        Ok(())
    }
}

struct ApalisProducer {
    connection: PgConnection,
}

#[async_trait]
impl Producer for ApalisProducer {
    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()> {
        let mut tasks: Vec<PgTask> = Vec::with_capacity(numbers.len());
        for number in numbers {
            let task = TaskBuilder::new(serde_json::to_vec(&Args { number: *number })?);
            tasks.push(match delay {
                Some(delay) => task.run_after(delay).build(),
                None => task.build(),
            });
        }
        queries::push_tasks(&mut self.connection, QUEUE, tasks).await.map_err(peer)
    }

    async fn one(&mut self, number: u64) -> Result<()> {
        self.bulk(&[number], None).await
    }
}
