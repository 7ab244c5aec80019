//! River's Rust client.

use std::sync::Arc;
use std::time::Duration;

use ::riverqueue::jiff::Timestamp;
use ::riverqueue::migrate::PostgresMigrator;
use ::riverqueue::{
    Client, InsertManyItem, InsertOpts, Job, JobArgs, JobRow, QueueConfig, RetryPolicy, WorkContext,
    WorkError, WorkOutcome, Workers,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

use crate::contender::{Contender, Done, Fill, Producer, Tables, Tuning, Work};
use crate::error::{Result, peer};
use crate::probe::FirstAttempt;

const WORKERS: u32 = 1000;
const COOLDOWN_MS: u64 = 1;
const CONNECTIONS: u32 = 10;

pub struct River;

#[derive(Debug, Clone, Serialize, Deserialize, JobArgs)]
#[river(kind = "noop")]
struct Noop {
    number: u64,
}

/// A failed job is due again at once.
struct AtOnce;

impl RetryPolicy for AtOnce {
    fn next_retry(&self, _: &JobRow, _: &WorkError, _: Timestamp) -> Duration {
        Duration::ZERO
    }
}

#[async_trait]
impl Contender for River {
    fn name(&self) -> &'static str {
        "riverqueue"
    }

    fn version(&self) -> &'static str {
        "0.5.0"
    }

    fn settings(&self, tuning: &Tuning) -> String {
        format!(
            "max_workers {}, fetch_cooldown {} ms (the least; default 100) for workers and producers, pool of {}, retry at \
             once; insert_many of 1,000",
            tuning.get("slots", WORKERS.into()),
            tuning.get("cooldown", COOLDOWN_MS),
            tuning.get("connections", CONNECTIONS.into()),
        )
    }

    fn tables(&self) -> Tables {
        Tables {
            schema: "public",
            mark: "-- riverqueue::mark\nSELECT coalesce(max(id), 0)::text FROM river_job",
            waiting: "-- riverqueue::waiting
                      SELECT count(*) FROM river_job WHERE id > $1::bigint AND state = 'available'",
            done: Done::Kept(
                "-- riverqueue::done
                 SELECT count(*) FROM river_job WHERE id > $1::bigint AND state = 'completed'",
            ),
            fill: Fill::Sql(
                "-- riverqueue::fill
                 INSERT INTO river_job (state, attempt, max_attempts, attempted_at, finalized_at, priority, args,
                                        attempted_by, kind)
                 SELECT 'completed', 1, 25, now(), now(), 1, jsonb_build_object('number', n), '{worker}', 'noop'
                   FROM generate_series(1, $1) AS n",
            ),
        }
    }

    async fn setup(&self, url: &str) -> Result<()> {
        let pool = PgPoolOptions::new().connect(url).await?;
        PostgresMigrator::new(pool.clone()).migrate_up().await.map_err(peer)?;
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, url: &str, tuning: &Tuning) -> Result<Box<dyn Producer>> {
        let pool = PgPoolOptions::new().min_connections(1).connect(url).await?;
        // The cooldown limits how often a producer wakes workers.
        let cooldown = Duration::from_millis(tuning.get("cooldown", COOLDOWN_MS));
        let client = Client::builder(pool).fetch_cooldown(cooldown).build().map_err(peer)?;
        Ok(Box::new(RiverProducer { client }))
    }

    async fn work(&self, work: Work) -> Result<()> {
        let connections = u32::try_from(work.tuning.get("connections", CONNECTIONS.into())).map_err(peer)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(connections)
            .connect(&work.url)
            .await?;
        let probe = Arc::clone(&work.probe);
        let mut workers = Workers::new();
        workers
            .add_fn(move |_: WorkContext, job: Job<Noop>| {
                let outcome = probe.run(job.args.number);
                async move { outcome.map(|()| WorkOutcome::Complete) as Result<_, FirstAttempt> }
            })
            .map_err(peer)?;
        let cooldown = Duration::from_millis(work.tuning.get("cooldown", COOLDOWN_MS));
        let client = Client::builder(pool)
            .workers(workers)
            .queue("default", QueueConfig::new(work.tuning.count("slots", WORKERS)))
            .fetch_cooldown(cooldown)
            .retry_policy(AtOnce)
            .build()
            .map_err(peer)?;
        work.gate.pass().await;
        let mut running = client.start().map_err(peer)?;
        work.stop.cancelled().await;
        running.stop().await.map_err(peer)
    }
}

struct RiverProducer {
    client: Client,
}

#[async_trait]
impl Producer for RiverProducer {
    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()> {
        let at = delay.map(|delay| Timestamp::now() + delay);
        let jobs = numbers.iter().map(|number| {
            let opts = at.map_or_else(InsertOpts::default, |at| InsertOpts::default().with_scheduled_at(at));
            InsertManyItem::new(Noop { number: *number }, opts)
        });
        self.client.insert_many(jobs).await.map_err(peer)?;
        Ok(())
    }

    async fn one(&mut self, number: u64) -> Result<()> {
        self.client.insert(Noop { number }).await.map_err(peer)?;
        Ok(())
    }
}
