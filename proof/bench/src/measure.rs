//! Names of the measures, their sizes, and their figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// Amount of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Jobs of the bulk measure.
    pub bulk: u64,
    /// Jobs of a throughput measurement.
    pub jobs: u64,
    /// Jobs of the latency measure, 100 a second.
    pub paced: u64,
    /// Finished rows in the table.
    pub finished: u64,
    /// Jobs scheduled for later in the table.
    pub later: u64,
    /// Jobs that fail once.
    pub failing: u64,
    /// Seconds of watching an idle worker.
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

    /// For quick runs: the same work, less of it.
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

/// One figure under a name.
pub fn value(name: &str, figure: f64) -> Values {
    BTreeMap::from([(name.to_owned(), figure)])
}
