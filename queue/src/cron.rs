//! Cron jobs.

pub(crate) mod schedule;
pub(crate) mod scheduler;
mod tick;
