//! awa with the storage a fresh installation gets.

use std::sync::Arc;
use std::time::Duration;

use ::awa::{
    AwaError, Client, InsertOpts, JobArgs, JobError, JobResult, QueueConfig, QueueStorage,
    QueueStorageConfig, insert_with, migrations, model::insert::params_with,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx08::PgPool;
use sqlx08::postgres::PgPoolOptions;
use tokio::runtime::Handle;

use crate::clock::in_future;
use crate::contender::{Contender, Done, Fill, Producer, Tables, Tuning, Work};
use crate::error::{Result, peer};

const WORKERS: u32 = 500;
const CLAIM_BATCH: u32 = 500;
const CLAIMERS: u32 = 1;
const POLL_MS: u64 = 200;
const CONNECTIONS: u32 = 20;

/// Longest wait for a worker's end.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

pub struct Awa;

#[derive(Debug, Clone, Serialize, Deserialize, JobArgs)]
struct Noop {
    number: u64,
}

#[async_trait]
impl Contender for Awa {
    fn name(&self) -> &'static str {
        "awa"
    }

    fn version(&self) -> &'static str {
        "0.6.9"
    }

    fn settings(&self, tuning: &Tuning) -> String {
        format!(
            "max_workers {}, claim_batch_size {}, claimers {}, poll_interval {} ms (default), pool of {}, queue storage (prunes \
             finished jobs within a minute or so); enqueue_params_copy of 1,000; RetryAfter(0)",
            tuning.get("slots", WORKERS.into()),
            tuning.get("batch", CLAIM_BATCH.into()),
            tuning.get("claimers", CLAIMERS.into()),
            tuning.get("poll", POLL_MS),
            tuning.get("connections", CONNECTIONS.into()),
        )
    }

    fn tables(&self) -> Tables {
        Tables {
            schema: "awa",
            // The view of all jobs takes seconds, and ids are in no index: the mark is the number of jobs
            // finished before, including those pruned meanwhile (within a minute).
            mark: "-- awa::mark
                   SELECT ((SELECT coalesce(sum(completed_count), 0) FROM awa.receipt_completion_batches)
                           + (SELECT coalesce(sum(pruned_completed_count), 0) FROM awa.queue_terminal_rollups)
                           + (SELECT count(*) FROM awa.done_entries WHERE state = 'completed'))::text",
            waiting: "-- awa::waiting\nSELECT count(*) FROM awa.ready_entries WHERE $1 = '0'",
            done: Done::Kept(
                "-- awa::done
                 SELECT ((SELECT coalesce(sum(completed_count), 0) FROM awa.receipt_completion_batches)
                         + (SELECT coalesce(sum(pruned_completed_count), 0) FROM awa.queue_terminal_rollups)
                         + (SELECT count(*) FROM awa.done_entries WHERE state = 'completed') - $1::bigint)::bigint",
            ),
            fill: Fill::Nothing,
        }
    }

    async fn setup(&self, url: &str) -> Result<()> {
        let url = url.to_owned();
        let runtime = Handle::current();
        // The migrations' future stays on one thread.
        let migrated = tokio::task::spawn_blocking(move || runtime.block_on(migrate(&url)));
        migrated.await.map_err(peer)?.map_err(peer)
    }

    async fn producer(&self, url: &str, _: &Tuning) -> Result<Box<dyn Producer>> {
        let pool = PgPoolOptions::new().min_connections(1).connect(url).await.map_err(peer)?;
        let storage = QueueStorage::new(QueueStorageConfig::default()).map_err(peer)?;
        Ok(Box::new(AwaProducer { pool, storage }))
    }

    async fn work(&self, work: Work) -> Result<()> {
        let connections = u32::try_from(work.tuning.get("connections", CONNECTIONS.into())).map_err(peer)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(connections)
            .connect(&work.url)
            .await
            .map_err(peer)?;
        let config = QueueConfig {
            max_workers: u32::try_from(work.tuning.get("slots", WORKERS.into())).map_err(peer)?,
            claim_batch_size: work.tuning.count("batch", CLAIM_BATCH),
            claimers: u16::try_from(work.tuning.get("claimers", CLAIMERS.into())).map_err(peer)?,
            poll_interval: Duration::from_millis(work.tuning.get("poll", POLL_MS)),
            ..QueueConfig::default()
        };
        let probe = Arc::clone(&work.probe);
        let client = Client::builder(pool)
            .queue("default", config)
            .register::<Noop, _, _>(move |job, _| {
                let outcome = probe.run(job.number);
                async move {
                    Ok::<_, JobError>(match outcome {
                        Ok(()) => JobResult::Completed,
                        Err(_) => JobResult::RetryAfter(Duration::ZERO),
                    })
                }
            })
            .build()
            .map_err(peer)?;
        work.gate.pass().await;
        client.start().await.map_err(peer)?;
        work.stop.cancelled().await;
        client.shutdown(ENDS_WITHIN).await;
        Ok(())
    }
}

async fn migrate(url: &str) -> std::result::Result<(), AwaError> {
    let pool = PgPool::connect(url).await?;
    migrations::run(&pool).await?;
    // As the first worker of a fresh installation does, before the first job.
    sqlx08::query("-- awa::migrate\nSELECT awa.storage_auto_finalize_if_fresh('awa')").execute(&pool).await?;
    pool.close().await;
    Ok(())
}

struct AwaProducer {
    pool: PgPool,
    storage: QueueStorage,
}

#[async_trait]
impl Producer for AwaProducer {
    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()> {
        let run_at = delay.map(in_future);
        let opts = InsertOpts { run_at, ..InsertOpts::default() };
        let jobs: Vec<_> = numbers
            .iter()
            .map(|number| params_with(&Noop { number: *number }, opts.clone()))
            .collect::<std::result::Result<_, _>>()
            .map_err(peer)?;
        self.storage.enqueue_params_copy(&self.pool, &jobs).await.map_err(peer)?;
        Ok(())
    }

    async fn one(&mut self, number: u64) -> Result<()> {
        insert_with(&self.pool, &Noop { number }, InsertOpts::default()).await.map_err(peer)?;
        Ok(())
    }
}
