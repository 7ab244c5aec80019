//! Bedel's queue with its defaults, except the number of slots.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bedel_queue::{
    Attempt, Backoff, Breaker, Commit, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions,
    enqueue_many, migrate, run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};

use crate::contender::{Contender, Done, Fill, Producer, Tables, Tuning, Work};
use crate::error::{Result, peer};
use crate::measure::Measure;
use crate::probe::Probe;
use crate::report;

const CONNECTIONS: u32 = 10;
const BULK: u32 = 1000;

/// Bedel with one kind of job.
pub struct Bedel<J>(PhantomData<J>);

/// Plain jobs: a handler and no hooks. Their ends are written in batches.
pub const PLAIN: Bedel<Noop> = Bedel(PhantomData);

/// Plain jobs that depend on [`HOSTS`] hosts, each with a circuit breaker.
pub const BREAKER: Bedel<Leaning> = Bedel(PhantomData);

/// Hosts that jobs depend on.
const HOSTS: u64 = 16;

/// Jobs with a begin and a commit transaction each, which can write the caller's rows.
pub const HOOKS: Bedel<Hooked> = Bedel(PhantomData);

#[derive(Debug, Serialize, Deserialize)]
pub struct Noop {
    number: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Hooked {
    number: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Leaning {
    number: u64,
}

/// Differences between the kinds.
pub trait Sort: Job<Context = Arc<Probe>> {
    const NAME: &'static str;
    const WHAT: &'static str;
    const SLOTS: u32;
    const MEASURES: &'static [Measure] = &Measure::ALL;
    fn new_job(number: u64) -> NewJob;
}

impl Sort for Noop {
    const NAME: &'static str = "bedel";
    const WHAT: &'static str = "plain jobs";
    const SLOTS: u32 = 2000;

    fn new_job(number: u64) -> NewJob {
        NewJob::new(&Self { number })
    }
}

impl Sort for Leaning {
    const NAME: &'static str = "bedel-breaker";
    const WHAT: &'static str = "plain jobs of 16 groups with a circuit breaker";
    const SLOTS: u32 = Noop::SLOTS;
    const MEASURES: &'static [Measure] =
        &[Measure::Throughput, Measure::Latency, Measure::FailOnce, Measure::Idle];

    fn new_job(number: u64) -> NewJob {
        NewJob::new(&Self { number }).group_key(format!("host-{}", number % HOSTS))
    }
}

impl Sort for Hooked {
    const NAME: &'static str = "bedel-hooks";
    const WHAT: &'static str = "jobs with hooks";
    const SLOTS: u32 = 30;
    const MEASURES: &'static [Measure] = &[Measure::Throughput, Measure::Latency, Measure::FailOnce];

    fn new_job(number: u64) -> NewJob {
        NewJob::new(&Self { number })
    }
}

fn policy() -> Policy {
    // The retry is due at once: this measures the work of a failure, not the pause.
    Policy { backoff: Backoff { first: Duration::ZERO, max: Duration::ZERO }, ..Policy::default() }
}

fn run(probe: &Probe, number: u64) -> Result<(), JobError> {
    probe.run(number).map_err(|error| JobError::retry("first-attempt", error.to_string()))
}

impl Job for Noop {
    const KIND: &'static str = "noop";
    type Context = Arc<Probe>;
    type Output = ();

    fn policy() -> Policy {
        policy()
    }

    async fn run(&self, probe: &Arc<Probe>, _: &Attempt) -> Result<(), JobError> {
        run(probe, self.number)
    }
}

impl Job for Leaning {
    const KIND: &'static str = "leaning";
    type Context = Arc<Probe>;
    type Output = ();

    fn policy() -> Policy {
        Policy { breaker: Some(Breaker::default()), ..policy() }
    }

    async fn run(&self, probe: &Arc<Probe>, _: &Attempt) -> Result<(), JobError> {
        run(probe, self.number)
    }
}

impl Job for Hooked {
    const KIND: &'static str = "hooked";
    type Context = Arc<Probe>;
    type Output = ();

    fn policy() -> Policy {
        policy()
    }

    async fn run(&self, probe: &Arc<Probe>, _: &Attempt) -> Result<(), JobError> {
        run(probe, self.number)
    }

    async fn commit(
        &self,
        _: &Arc<Probe>,
        _: &Attempt,
        (): &(),
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done())
    }
}

#[async_trait]
impl<J: Sort> Contender for Bedel<J> {
    fn name(&self) -> &'static str {
        J::NAME
    }

    fn version(&self) -> &'static str {
        "0.1.0"
    }

    fn settings(&self, tuning: &Tuning) -> String {
        format!(
            "{}, {} slots, pool of {}, all else at its default; enqueue_many of {}",
            J::WHAT,
            tuning.get("slots", J::SLOTS.into()),
            tuning.get("connections", CONNECTIONS.into()),
            report::figure(tuning.get("bulk", BULK.into()) as f64),
        )
    }

    fn takes_part(&self, measure: Measure) -> bool {
        J::MEASURES.contains(&measure)
    }

    fn tables(&self) -> Tables {
        Tables {
            schema: "queue",
            mark: "-- bedel::mark
                   SELECT coalesce((SELECT id FROM queue.jobs ORDER BY id DESC LIMIT 1),
                                   '00000000-0000-0000-0000-000000000000')::text",
            waiting: "-- bedel::waiting
                      SELECT count(*) FROM queue.jobs WHERE id > $1::uuid AND state = 'available'",
            done: Done::Kept(
                "-- bedel::done
                 SELECT count(*) FROM queue.jobs WHERE id > $1::uuid AND state = 'completed'",
            ),
            fill: Fill::Sql(
                "-- bedel::fill
                 INSERT INTO queue.jobs (kind, args, state, attempt, attempted_at, finalized_at, give_up_at,
                                         give_up_after, max_attempts, max_crashes, worker)
                 SELECT 'noop', jsonb_build_object('number', n), 'completed', 1, now(), now(), now() + interval '1 day',
                        interval '1 day', 5, 3, 'worker:1'
                   FROM generate_series(1, $1) AS n",
            ),
        }
    }

    async fn setup(&self, url: &str) -> Result<()> {
        let pool = PgPool::connect(url).await?;
        migrate(&pool).await.map_err(peer)?;
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, url: &str, tuning: &Tuning) -> Result<Box<dyn Producer>> {
        let pool = PgPoolOptions::new().min_connections(2).connect(url).await?;
        let queue = Queue::new(pool.clone());
        let batch = tuning.count("bulk", BULK);
        Ok(Box::new(BedelProducer::<J> { pool, queue, batch, sort: PhantomData }))
    }

    async fn work(&self, work: Work) -> Result<()> {
        let connections = u32::try_from(work.tuning.get("connections", CONNECTIONS.into())).map_err(peer)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(connections)
            .connect(&work.url)
            .await?;
        let registry = Registry::new(Arc::clone(&work.probe)).register::<J>();
        let slots = work.tuning.count("slots", J::SLOTS);
        let options = WorkerOptions {
            slots: BTreeMap::from([(J::KIND.to_owned(), slots)]),
            ..WorkerOptions::default()
        };
        let queue = Queue::new(pool);
        work.gate.pass().await;
        run_worker(queue, registry, options, work.stop).await.map_err(peer)
    }
}

struct BedelProducer<J> {
    pool: PgPool,
    queue: Queue,
    batch: usize,
    sort: PhantomData<J>,
}

#[async_trait]
impl<J: Sort> Producer for BedelProducer<J> {
    fn batch(&self) -> usize {
        self.batch
    }

    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()> {
        let delay = delay.unwrap_or_default();
        let jobs: Vec<_> = numbers.iter().map(|number| J::new_job(*number).delay(delay)).collect();
        let mut tx = self.pool.begin().await?;
        enqueue_many(&mut tx, &jobs).await?;
        tx.commit().await?;
        self.queue.wake();
        Ok(())
    }

    async fn one(&mut self, number: u64) -> Result<()> {
        self.queue.enqueue(&J::new_job(number)).await?;
        Ok(())
    }
}
