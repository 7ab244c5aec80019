//! What operators and programs do with the queue: read, pause, cancel, retry, prune.

pub(crate) mod activity;
pub(crate) mod breakers;
mod counting;
pub(crate) mod fleet;
pub mod inspect;
pub(crate) mod operate;
pub(crate) mod operate_many;
pub(crate) mod overview;
pub(crate) mod prune;
pub(crate) mod queues;
pub(crate) mod watch;

pub use counting::COUNT_LIMIT;
