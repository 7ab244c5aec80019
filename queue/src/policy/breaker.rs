//! Settings of a group's circuit breaker.

use std::time::Duration;

use super::backoff::Backoff;

/// When a group counts as down, and how often it is probed meanwhile.
///
/// Errors report the group's health: [`JobError::blames_group`](crate::JobError::blames_group) counts a failure; a success or
/// [`JobError::clears_group`](crate::JobError::clears_group) closes the breaker. An open breaker lets one probe at a time
/// through: an ordinary attempt of a waiting job. The probe ends with its lease. Attempts that blame an open group spend
/// nothing. All waiting ends at `give_up_at`: the job is discarded as `group-down` without a run.
///
/// All kinds of a group share its breaker, so give each of them one. A kind without a breaker neither waits nor reports, and no
/// probe starts while one of its jobs runs in the group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// Consecutive failures that open the breaker. A success or ten quiet minutes reset the count. At least 1.
    pub failures: u32,
    /// Time until the next probe: the first counts from the opening, later ones from the end of the failed probe before.
    pub pause: Backoff,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, pause: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(300) } }
    }
}
