//! Which attempts run here, which workers live, and what the dead ones left.

pub(crate) mod fleet;
pub(crate) mod heartbeat;
pub(crate) mod in_flight;
mod repairs;
mod worker_watch;
