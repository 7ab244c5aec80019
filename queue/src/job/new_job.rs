//! A job to enqueue.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::policy::Policy;

/// A job to enqueue. [`NewJob::new`] builds it from typed args.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub(crate) kind: &'static str,
    pub(crate) args: Value,
    pub(crate) policy: Policy,
    pub(crate) subject: Option<Uuid>,
    pub(crate) unique_key: Option<String>,
    pub(crate) group_key: Option<String>,
    pub(crate) priority: i16,
    pub(crate) delay: Duration,
}

impl NewJob {
    /// The id of the thing the job works on. It is indexed, and the failure hooks receive it.
    #[must_use]
    pub fn subject(mut self, subject: Uuid) -> Self {
        self.subject = Some(subject);
        self
    }

    /// At most one live (available or running) job has this key.
    #[must_use]
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// The shared resource that the job uses, such as an upstream's host; see
    /// [`Policy::group_limit`](crate::Policy::group_limit). Meant for dozens of groups: a claim reads a page or two for each
    /// group with waiting jobs.
    #[must_use]
    pub fn group_key(mut self, key: impl Into<String>) -> Self {
        self.group_key = Some(key.into());
        self
    }

    /// 1 (first) to 4 (last). Overrides the policy's priority.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority.clamp(1, 4);
        self
    }

    /// Earliest start, counted from now by the database's clock.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Overrides the policy's `give_up_after`.
    #[must_use]
    pub fn give_up_after(mut self, limit: Duration) -> Self {
        self.policy.give_up_after = limit;
        self
    }

    /// True if the two differ at most in args, subject and group, and neither has a unique key.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let times = |job: &Self| (job.delay, job.policy.give_up_after);
        self.kind == other.kind
            && self.unique_key.is_none()
            && self.priority == other.priority
            && times(self) == times(other)
            && self.policy.max_attempts == other.policy.max_attempts
            && self.policy.max_crashes == other.policy.max_crashes
    }
}
