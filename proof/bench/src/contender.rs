//! The interface of a measured queue. Each contender is one file in `peers`.

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

/// Overrides of a contender's settings, to find better ones: `slots=500,batch=100`.
#[derive(Debug, Clone, Default)]
pub struct Tuning(BTreeMap<String, u64>);

impl Tuning {
    /// The override, or the contender's setting.
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

/// Queries on a contender's tables, sent by the benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The schema whose row versions are counted.
    pub schema: &'static str,
    /// Returns one text: a mark before the jobs of this measurement.
    pub mark: &'static str,
    /// Returns one bigint: waiting jobs after mark `$1` (text). Used before any has run.
    pub waiting: &'static str,
    /// How to count finished jobs.
    pub done: Done,
    /// How to insert finished jobs.
    pub fill: Fill,
}

/// How to count finished jobs.
#[derive(Debug, Clone, Copy)]
pub enum Done {
    /// The queue keeps them. Returns one bigint: finished jobs after mark `$1` (text).
    Kept(&'static str),
    /// The queue deletes them. Returns one bigint: remaining jobs after mark `$1` (text).
    Deleted(&'static str),
}

/// How to insert finished jobs.
#[derive(Debug, Clone, Copy)]
pub enum Fill {
    /// A statement inserts `$1` (bigint) of them.
    Sql(&'static str),
    /// There are none: the queue deletes them, at once or soon.
    Nothing,
}

/// A queue.
#[async_trait]
pub trait Contender: Send + Sync {
    /// Name on the command line and in the tables.
    fn name(&self) -> &'static str;

    /// The crate's version.
    fn version(&self) -> &'static str;

    /// For the tables: settings that were changed, and those left at their defaults.
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
    /// Best number of jobs per call of [`bulk`](Self::bulk).
    fn batch(&self) -> usize {
        1000
    }

    /// Enqueues many in one transaction, durably; runnable after `delay`, if given.
    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()>;

    /// Enqueues one in its own transaction and wakes the workers, as the queue's users do.
    async fn one(&mut self, number: u64) -> Result<()>;
}

/// Input of a worker process.
#[derive(Debug)]
pub struct Work {
    /// The database.
    pub url: String,
    /// Settings to try.
    pub tuning: Tuning,
    /// Jobs come one at a time, if at all, and should start soon.
    pub paced: bool,
    /// Called by the handler.
    pub probe: Arc<Probe>,
    /// Passed before the first claim.
    pub gate: Gate,
    /// Fires when the worker should end.
    pub stop: CancellationToken,
}
