//! A durable job queue on PostgreSQL for long, flaky, expensive work.
//!
//! *job* = the row; *attempt* = one run of it; *handler* = the code; *worker* = the process; *slot* = one place of
//! concurrency in it.
//!
//! # States
//!
//! ```text
//!                           retry, wait, release, rescue
//!                      ┌─────────────────────────────────────┐
//!                      ▼                                     │
//!    enqueue ──▶ ┌───────────┐          claim          ┌─────┴─────┐  complete  ┌───────────┐
//!                │ available ├────────────────────────▶│  running  ├───────────▶│ completed │
//!                └─┬───────┬─┘                         └──┬─────┬──┘            └───────────┘
//!                  ▲       │ cancel                cancel │     │ discard
//!                  │       ▼                              ▼     ▼
//!                  │  ┌───────────┐◀──────────────────────┘  ┌───────────┐
//!                  │  │ cancelled │                          │ discarded │
//!                  │  └─────┬─────┘                          └─────┬─────┘
//!                  └────────┴──────────── retry by hand ───────────┘
//! ```
//!
//! There is no state for "scheduled" or "retrying": both are `available` with a `run_at` in the future. The three on the
//! right and below are final; a final job is deleted when its retention has passed ([`prune()`]).
//!
//! | from | to | by | who | spends |
//! | --- | --- | --- | --- | --- |
//! | - | available | enqueue | a producer, in its own transaction ([`enqueue()`], SQL); a commit; a schedule's tick | - |
//! | available | running | claim | a worker with a free slot for the kind | `attempt` + 1, a fresh lease |
//! | available | available | pull forward | a person or a producer ([`retry`], [`pull_forward`]): due now | - |
//! | running | completed | complete | the attempt, when `run` and `commit` succeed | - |
//! | running | available | retry | the attempt, by [`JobError::retry`], a panic or a timeout | `errors` + 1 |
//! | running | available | wait | the attempt, by [`JobError::wait`] or because the database was in the way | - |
//! | running | available | wait | the attempt, by an error that [blames its group](JobError::blames_group), while the group's breaker is open | - |
//! | running | available | release | a worker that stops, or that finds a row of its own which never arrived | - |
//! | running | available | rescue | any worker, once the owner's heartbeat stood still | `crashes` + 1, or 0 where the checkpoint advanced |
//! | running | discarded | discard | the attempt: [`JobError::fatal`], `errors` at `max_attempts`, or `give_up_at` passed | `errors` + 1 unless it waited |
//! | running | discarded | discard | the worker that claims a job with `crashes` at `max_crashes`; its handler is not run | `errors` + 1 |
//! | running | discarded | discard | the worker that claims a job past its `give_up_at` while its group's breaker is open; its handler is not run | - |
//! | available, running | cancelled | cancel | a person or a deletion ([`Registry::cancel`], [`cancel_subject`]) | - |
//! | running | cancelled | cancel | the attempt, whose commit found nothing left to work for ([`Commit::cancelled`]) | - |
//! | discarded, cancelled | available | retry by hand | a person ([`retry`]) | both budgets start at 0, with fresh time |
//!
//! `attempt` never goes down and guards nothing. What guards is the **lease**: each claim makes a fresh one, and every write
//! of the attempt (begin, progress, checkpoint, commit, fail) names it. Zero rows means that the lease is lost, and then
//! nothing is written. CHECK constraints hold what SQL can hold: a running row has an owner, an available one has none, a
//! final one has a date.
//!
//! # An attempt
//!
//! While the handler runs no transaction is open; around it stand short ones, of which the last makes the caller's rows, the
//! job's completion and the next job visible together. One **heartbeat** per process, on a thread and a connection of its
//! own, vouches for all its attempts; a worker whose counter stands still is rescued by any other.
//!
//! A reader starts with [`job`] (what a kind is), then `worker` (the process), `backend` (apalis), `settle` (the
//! transactions), `fence` (the writes), `heartbeat`, `rescue` and `breaker`.

mod admin;
mod claim;
mod cron;
mod database_retry;
mod dedicated_connection;
mod enqueue;
mod error;
mod fence;
pub mod job;
mod liveness;
pub mod migrate;
mod options;
mod policy;
mod settle;
mod worker;

pub use admin::breakers::{BREAKERS_LIMIT, BreakerView, breakers};
pub use admin::fleet::{Depth, ScheduleView, WorkerView, depths, schedules, workers};
pub use admin::operate::{Retried, cancel_subject, pull_forward, regroup, retry};
pub use admin::prune::{Retention, prune};
pub use admin::queues::{QueueView, pause, queues, resume};
pub use admin::{COUNT_LIMIT, inspect};
pub use cron::schedule::{CatchUp, Schedule, ScheduleError};
pub use cron::scheduler::run_scheduler;
pub use enqueue::insert::{Enqueued, enqueue, enqueue_many};
pub use enqueue::queue::Queue;
pub use error::{JobError, is_passing};
pub use job::Job;
pub use job::attempt::Attempt;
pub use job::end::{Commit, End, Failure};
pub use job::new_job::NewJob;
pub use migrate::migrate;
pub use options::WorkerOptions;
pub use policy::Policy;
pub use policy::backoff::Backoff;
pub use policy::breaker::Breaker;
pub use worker::drain::drain;
pub use worker::error::WorkerError;
pub use worker::registry::{EnqueueError, Registry};
pub use worker::run::run_worker;
