//! One benchmark run: its server, and fresh databases for measurements.

use std::time::Duration;

use bedel_test_support::Cluster;

use crate::contender::{Contender, Producer, Tuning};
use crate::database::Database;
use crate::error::Result;
use crate::measure::{Sizes, Values};

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
    /// Runs `work` in a database that has the contender's schema and nothing else.
    pub async fn fresh<W>(&self, contender: &dyn Contender, work: W) -> Result<Values>
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
    pub async fn copy<W>(&self, contender: &dyn Contender, template: &str, work: W) -> Result<Values>
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

/// Enqueues the jobs of a measurement: numbers from 0, in batches that suit the producer.
pub async fn enqueue(producer: &mut dyn Producer, jobs: u64, delay: Option<Duration>) -> Result<()> {
    let numbers: Vec<u64> = (0..jobs).collect();
    for batch in numbers.chunks(producer.batch()) {
        producer.bulk(batch, delay).await?;
    }
    Ok(())
}
