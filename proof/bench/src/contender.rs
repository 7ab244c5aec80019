//! What the measures need of a queue. Each contender is one file in `peers`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::{BenchError, Result};
use crate::gate::Gate;
use crate::measure::Measure;
use crate::probe::Probe;

/// The args of every job of every contender: `{"number": 7}`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Args {
    /// 0 and up.
    pub number: u64,
}

/// Settings that replace a contender's own, to look for better ones: `slots=500,batch=100`.
#[derive(Debug, Clone, Default)]
pub struct Tuning(BTreeMap<String, u64>);

impl Tuning {
    /// The setting, or the contender's own.
    pub fn get(&self, name: &str, own: u64) -> u64 {
        self.0.get(name).copied().unwrap_or(own)
    }

    /// As [`get`](Self::get), for counts.
    pub fn count(&self, name: &str, own: u32) -> usize {
        usize::try_from(self.get(name, u64::from(own))).expect("a count fits a word")
    }
}

impl FromStr for Tuning {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Self> {
        text.split(',')
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.split_once('=')
                    .and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
                    .ok_or_else(|| BenchError::Usage(format!("`{part}` is not name=number")))
            })
            .collect::<Result<_>>()
            .map(Self)
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&parts.join(","))
    }
}

/// How to look at a contender's tables. Every statement is sent by the benchmark, none by the contender.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The schema whose row versions are counted.
    pub schema: &'static str,
    /// One text: where the jobs of this measurement begin.
    pub mark: &'static str,
    /// One bigint: jobs after mark `$1` (text) that wait. Asked where none was run yet.
    pub waiting: &'static str,
    /// How it is seen that jobs are finished.
    pub done: Done,
    /// How finished jobs come into the database.
    pub fill: Fill,
}

/// How it is seen that jobs are finished.
#[derive(Debug, Clone, Copy)]
pub enum Done {
    /// One bigint: finished jobs after mark `$1` (text). The queue keeps them.
    Kept(&'static str),
    /// One bigint: jobs after mark `$1` (text) that are still there. The queue deletes what is finished.
    Deleted(&'static str),
}

/// How finished jobs are made.
#[derive(Debug, Clone, Copy)]
pub enum Fill {
    /// By a statement that inserts `$1` (bigint) of them.
    Sql(&'static str),
    /// Not at all: the queue deletes what is finished, at once or soon.
    Nothing,
}

/// A queue.
#[async_trait]
pub trait Contender: Send + Sync {
    /// As on the command line and in the tables.
    fn name(&self) -> &'static str;

    /// The crate's version.
    fn version(&self) -> &'static str;

    /// For the tables: what was set, and what was left at its default.
    fn settings(&self, tuning: &Tuning) -> String;

    /// Whether it takes part in a measure.
    fn takes_part(&self, measure: Measure) -> bool {
        let _ = measure;
        true
    }

    /// Its tables.
    fn tables(&self) -> Tables;

    /// Makes the schema.
    async fn setup(&self, url: &str) -> Result<()>;

    /// The side that enqueues.
    async fn producer(&self, url: &str, tuning: &Tuning) -> Result<Box<dyn Producer>>;

    /// Runs a worker until `work.stop` fires. Connections are made before `work.gate` is passed.
    async fn work(&self, work: Work) -> Result<()>;
}

/// The side that enqueues, with its connections made.
#[async_trait]
pub trait Producer: Send {
    /// How many jobs suit one call of [`bulk`](Self::bulk).
    fn batch(&self) -> usize {
        1000
    }

    /// Enqueues many in one transaction, durably; runnable `delay` from now where one is given.
    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()>;

    /// Enqueues one in a transaction of its own, as the queue's users do, with whatever wakes its workers.
    async fn one(&mut self, number: u64) -> Result<()>;
}

/// What a worker process gets.
#[derive(Debug)]
pub struct Work {
    /// The database.
    pub url: String,
    /// Settings to try.
    pub tuning: Tuning,
    /// Jobs come one at a time, if at all, and are to start soon.
    pub paced: bool,
    /// To be called by the handler.
    pub probe: Arc<Probe>,
    /// To be passed before the first job is claimed.
    pub gate: Gate,
    /// Fires when the worker is to end.
    pub stop: CancellationToken,
}
