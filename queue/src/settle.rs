//! What follows a run: commit, fail or release, each a short fenced transaction.

pub(crate) mod attempt_end;
pub(crate) mod end_batcher;
mod end_writer;
mod group_breaker;
pub(crate) mod outcome_metrics;
pub(crate) mod settlement;
pub(crate) mod worker_shared;
