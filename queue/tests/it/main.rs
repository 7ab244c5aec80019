//! Each promise of the queue, with a test that can fail. `docs/reference/promises.md` lists them by number.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod breaker;
mod breaker_ends;
mod caller;
mod cancelling;
mod claiming;
mod constraints;
mod deploying;
mod draining;
mod enqueueing;
mod examples;
mod flat;
mod groups;
mod hosts;
mod limits;
mod liveness;
mod manual_job;
mod operating;
mod ordering;
mod outcomes;
mod pausing;
mod plain;
mod proxy;
mod pruning;
mod readme;
mod saving;
mod scheduling;
mod shared_groups;
mod sql;
mod stopping;
mod support;
mod transitions;
mod unanswered;
