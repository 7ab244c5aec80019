//! What a round's faults explain. Everything beyond counts against the queue.

use std::collections::HashSet;

use uuid::Uuid;

/// What the plan allows. The default allows nothing: every job completes at once, with no error and no crash.
#[derive(Debug, Clone, Default)]
pub struct Allowance {
    /// Counted crashes of one job.
    pub crashes: i32,
    /// Counted crashes of all jobs together, if that bound is tighter.
    pub crashes_in_all: Option<i32>,
    /// Failed attempts of one job.
    pub errors: i32,
    /// Handler calls of one job, if a fault must not repeat an attempt.
    pub starts: Option<usize>,
    /// The server may forget claims that were not yet on its disk. A plain job, which has no begin transaction, may then have
    /// been started under one of them.
    pub forgotten_claims: bool,
    /// Items whose first job is to be discarded.
    pub discarded: HashSet<Uuid>,
}
