//! The worker process: registered kinds, the claimer and the apalis workers.

pub(crate) mod backend;
pub(crate) mod claimer;
pub(crate) mod drain;
pub(crate) mod error;
mod isolation;
mod listener;
pub(crate) mod registry;
pub(crate) mod run;
