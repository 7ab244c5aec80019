//! Each promise of the queue, with a test that can fail. `docs/invariants.md` lists them by number.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod claiming;
mod enqueueing;
mod liveness;
mod operating;
mod outcomes;
mod scheduling;
mod sql;
mod support;
mod transitions;
