//! What a claim asks for and returns.

use uuid::Uuid;

use super::claimed::Claimed;
use crate::column::Timestamp;

/// Number of priorities.
pub(crate) const PRIORITIES: usize = 4;

/// Demand for one kind: how many jobs, and where to start the search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindDemand {
    pub(crate) kind: &'static str,
    /// The queue in the kind's policy.
    pub(crate) queue: &'static str,
    /// Most jobs to claim.
    pub(crate) free: usize,
    /// True if even more slots are free; the next claim asks for them.
    pub(crate) more: bool,
    pub(crate) group_limit: Option<u32>,
    /// True if its jobs wait while their group's breaker is open.
    pub(crate) breaker: bool,
    /// For each priority, the `run_at` before which the last claims found no more jobs.
    pub(crate) from: [Option<Timestamp>; PRIORITIES],
}

impl KindDemand {
    /// True if the group's running jobs decide whether the next one may start.
    pub(crate) fn counts_groups(&self) -> bool {
        self.group_limit.is_some() || self.breaker
    }
}

/// Who claims, and whether suspects are allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimRequest<'a> {
    pub(crate) worker_id: Uuid,
    pub(crate) worker: &'a str,
    /// True if the claim may take a suspect, and then nothing else.
    pub(crate) may_take_suspect: bool,
    /// True if nothing is in flight, so that a suspect may run at once.
    pub(crate) is_alone: bool,
}

/// The result of a claim.
#[derive(Debug, Default)]
pub(crate) struct ClaimResult {
    pub(crate) rows: Vec<Claimed>,
    /// True if kinds that count groups were skipped: another process was claiming for such kinds.
    pub(crate) skipped_groups: bool,
}
