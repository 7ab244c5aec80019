//! The policy of a kind: how often it is tried, how long, and with which pauses.

pub(crate) mod backoff;
pub(crate) mod breaker;

use std::time::Duration;

use backoff::Backoff;
use breaker::Breaker;

/// How a kind runs: budgets, times, limits and defaults.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Queue (lane) of the kind's jobs. Operators pause and resume queues.
    pub queue: &'static str,
    /// Concurrent attempts in a worker that does not set its own slots; see
    /// [`Registry::default_slots`](crate::Registry::default_slots).
    pub slots: u32,
    /// Priority of jobs enqueued without one: 1 (first) to 4 (last).
    pub priority: i16,
    /// Failed attempts after which the job is discarded. At least 1.
    pub max_attempts: i32,
    /// Counted crashes of the worker process after which the job is discarded. At least 1.
    pub max_crashes: i32,
    /// Delay before the next attempt.
    pub backoff: Backoff,
    /// An attempt that runs longer fails.
    pub timeout: Duration,
    /// Waiting and retrying end this long after the job was enqueued.
    pub give_up_after: Duration,
    /// Most running jobs per `group_key`, counted over all kinds and workers. A job of this kind is not claimed beyond
    /// it. None: no limit for this kind. At least 1; jobs without a group have no limit.
    pub group_limit: Option<u32>,
    /// Jobs of this kind wait while their group's upstream is down. None: they run anyway. Jobs without a group have no
    /// breaker.
    pub breaker: Option<Breaker>,
    /// The classes of this kind's own errors, for documentation and alerts. The queue adds `attempt-timeout`, `crashed`,
    /// `database`, `group-down`, `internal`, `panic`, `refused` and `undecodable` to every kind.
    pub error_classes: &'static [&'static str],
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            queue: "default",
            slots: 1,
            priority: 2,
            max_attempts: 5,
            max_crashes: 3,
            backoff: Backoff { first: Duration::from_secs(5), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(600),
            give_up_after: Duration::from_secs(24 * 3600),
            group_limit: None,
            breaker: None,
            error_classes: &[],
        }
    }
}
