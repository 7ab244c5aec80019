//! A durable job queue on PostgreSQL for long, flaky, expensive work.
//!
//! ```text
//!   enqueue ──> available ──claim──> running ──complete──> completed
//!                  ^  │                │ │ │
//!                  │  │                │ │ └──discard────> discarded
//!                  │  └────cancel──────┼─┴──cancel───────> cancelled
//!                  │                   │
//!                  └─ retry, wait, release, rescue
//! ```
//!
//! *job* = the row; *attempt* = one run of it; *handler* = the code; *worker* = the process; *slot* = one place of
//! concurrency in it. "Scheduled" and "retrying" are `available` with a future `run_at`.
//!
//! Each claim makes a fresh **lease**, which guards every write of the attempt: begin, progress, checkpoint, commit,
//! fail. Zero rows means that the lease is lost, and then nothing is written. While the handler runs no transaction is
//! open; around it stand three short ones, of which the last makes the caller's rows, the job's completion and the next
//! job visible together. One **heartbeat** per process, on a thread and a connection of its own, vouches for all its
//! attempts; a worker whose counter stands still is rescued by any other.
//!
//! A reader starts with [`job`] (what a kind is), then `worker` (the process), `backend` (apalis), `settle` (the
//! transactions), `fence` (the writes), `heartbeat` and `rescue`.

mod attempt;
mod backend;
mod claim;
mod enqueue;
mod error;
mod fence;
mod heartbeat;
mod held;
pub mod inspect;
pub mod job;
mod operate;
mod prune;
mod queue;
mod registry;
mod rescue;
mod schedule;
mod settle;
mod worker;

pub use attempt::Attempt;
pub use enqueue::{Enqueued, NewJob, enqueue};
pub use error::{JobError, is_passing};
pub use job::{Backoff, Commit, End, Failure, Job, Policy};
pub use operate::{Retried, cancel_subject, pull_forward, retry};
pub use prune::{Retention, prune};
pub use queue::Queue;
pub use registry::{EnqueueError, Registry};
pub use schedule::{CatchUp, Schedule, ScheduleError, run_scheduler};
pub use worker::{WorkerError, WorkerOptions, run_worker};

/// The queue's tables: the migration that makes them, for programs and tests that want the queue alone.
pub const SCHEMA: &str = include_str!("../../migrations/versions/007_queue.sql");
