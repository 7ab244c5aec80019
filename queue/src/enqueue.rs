//! Enqueueing jobs, and waking the workers.

pub(crate) mod insert;
pub(crate) mod queue;
mod time_ordered_id;
pub(crate) mod wake_up;
