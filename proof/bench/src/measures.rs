//! What is measured. Each measure is one file; several are the same work under other circumstances.

mod bulk;
mod drain;
mod fail_once;
mod finished;
pub mod idle;
pub mod latency;
mod later;
mod pinned;
mod processes;
mod throughput;

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_test_support::Cluster;
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Producer, Tuning};
use crate::database::Database;
use crate::error::Result;

/// Figures of one measurement, by name.
pub type Values = BTreeMap<String, f64>;

/// A measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Enqueueing many at a time.
    Bulk,
    /// Jobs that do nothing, enqueued before one worker process starts; row versions and log bytes of the same run.
    Throughput,
    /// From the call that enqueues to the handler's start.
    Latency,
    /// Throughput beside many finished rows.
    Finished,
    /// Throughput beside many jobs scheduled for later.
    Later,
    /// Throughput while another session pins a snapshot.
    Pinned,
    /// Throughput of four worker processes.
    Processes,
    /// Throughput where each job fails once.
    FailOnce,
    /// Queries of a worker with nothing to do.
    Idle,
}

impl Measure {
    /// All, in the order of a round.
    pub const ALL: [Self; 9] = [
        Self::Bulk,
        Self::Throughput,
        Self::Latency,
        Self::Finished,
        Self::Later,
        Self::Pinned,
        Self::Processes,
        Self::FailOnce,
        Self::Idle,
    ];
}

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Jobs of the bulk measure.
    pub bulk: u64,
    /// Jobs of a throughput measurement.
    pub jobs: u64,
    /// Jobs of the latency measure, 100 a second.
    pub paced: u64,
    /// Finished rows beside which is measured.
    pub finished: u64,
    /// Jobs scheduled for later beside which is measured.
    pub later: u64,
    /// Jobs that fail once.
    pub failing: u64,
    /// Seconds an idle worker is watched.
    pub idle_seconds: u64,
}

impl Sizes {
    /// As published.
    pub const FULL: Self = Self {
        bulk: 100_000,
        jobs: 20_000,
        paced: 1000,
        finished: 1_000_000,
        later: 100_000,
        failing: 5000,
        idle_seconds: 20,
    };

    /// To iterate with: the same work, less of it.
    pub const QUICK: Self = Self {
        bulk: 30_000,
        paced: 300,
        finished: 200_000,
        later: 50_000,
        failing: 2000,
        idle_seconds: 8,
        ..Self::FULL
    };
}

/// Where and how a measurement is made.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// The server of this run.
    pub cluster: &'a Cluster,
    /// How much.
    pub sizes: Sizes,
    /// Settings to try.
    pub tuning: &'a Tuning,
}

impl Bench<'_> {
    /// Runs one measure of one contender in a fresh database, and drops that.
    pub async fn measure(&self, measure: Measure, contender: &dyn Contender) -> Result<Values> {
        match measure {
            Measure::Bulk => self.fresh(contender, async |db| bulk::measure(self, contender, db).await).await,
            Measure::Throughput => {
                self.fresh(contender, async |db| throughput::measure(self, contender, db).await).await
            }
            Measure::Latency => {
                self.fresh(contender, async |db| latency::measure(self, contender, db).await).await
            }
            Measure::Finished => finished::measure(self, contender).await,
            Measure::Later => {
                self.fresh(contender, async |db| later::measure(self, contender, db).await).await
            }
            Measure::Pinned => {
                self.fresh(contender, async |db| pinned::measure(self, contender, db).await).await
            }
            Measure::Processes => {
                self.fresh(contender, async |db| processes::measure(self, contender, db).await).await
            }
            Measure::FailOnce => {
                self.fresh(contender, async |db| fail_once::measure(self, contender, db).await).await
            }
            Measure::Idle => idle::measure(self, contender).await,
        }
    }

    /// Runs `work` in a database that has the contender's schema and nothing else.
    async fn fresh<W>(&self, contender: &dyn Contender, work: W) -> Result<Values>
    where
        W: AsyncFnOnce(&mut Database) -> Result<Values>,
    {
        let name = format!("measure_{}", contender.name());
        self.cluster.create(&name).await?;
        let outcome = async {
            contender.setup(&self.cluster.url(&name)).await?;
            self.within(&name, work).await
        };
        let outcome = outcome.await;
        self.cluster.drop(&name).await?;
        outcome
    }

    /// Runs `work` in a copy of the database `template`.
    async fn copy<W>(&self, contender: &dyn Contender, template: &str, work: W) -> Result<Values>
    where
        W: AsyncFnOnce(&mut Database) -> Result<Values>,
    {
        let name = format!("measure_{}", contender.name());
        self.cluster.copy(template, &name).await?;
        let outcome = self.within(&name, work).await;
        self.cluster.drop(&name).await?;
        outcome
    }

    async fn within<W>(&self, name: &str, work: W) -> Result<Values>
    where
        W: AsyncFnOnce(&mut Database) -> Result<Values>,
    {
        let mut database = Database::connect(self.cluster.url(name)).await?;
        let outcome = work(&mut database).await;
        database.close().await?;
        outcome
    }
}

/// One figure under a name.
fn value(name: &str, figure: f64) -> Values {
    BTreeMap::from([(name.to_owned(), figure)])
}

/// Enqueues the jobs of a measurement: numbers from 0, in batches that suit the producer.
async fn enqueue(producer: &mut dyn Producer, jobs: u64, delay: Option<Duration>) -> Result<()> {
    let numbers: Vec<u64> = (0..jobs).collect();
    for batch in numbers.chunks(producer.batch()) {
        producer.bulk(batch, delay).await?;
    }
    Ok(())
}
