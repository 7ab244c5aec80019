//! A durable job queue on PostgreSQL for long, flaky, expensive work.
//!
//! *job* = the row; *attempt* = one run of it; *handler* = the code; *worker* = the process; *slot* = one
//! unit of concurrency in it.
//!
//! # A first program
//!
//! ```no_run
//! use std::collections::BTreeMap;
//!
//! use bedel_queue::{Attempt, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, drain, migrate};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl Job for Greet {
//!     const KIND: &'static str = "greet";
//!     type Context = ();
//!     type Output = ();
//!
//!     fn policy() -> Policy {
//!         Policy { max_attempts: 3, ..Policy::default() }
//!     }
//!
//!     async fn run(&self, (): &(), attempt: &Attempt) -> Result<(), JobError> {
//!         println!("Good morning, {}. This is attempt {}.", self.name, attempt.number);
//!         Ok(())
//!     }
//! }
//!
//! # async fn greet(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! migrate(&pool).await?;
//! let queue = Queue::new(pool);
//! queue.enqueue(&NewJob::new(&Greet { name: "Ada".to_owned() })).await?;
//!
//! let slots = BTreeMap::from([(Greet::KIND.to_owned(), 2)]);
//! drain(queue, Registry::new(()).register::<Greet>(), WorkerOptions { slots, ..WorkerOptions::default() }).await?;
//! # Ok(())
//! # }
//! ```
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
//! There is no state for "scheduled" or "retrying": both are `available` with a `run_at` in the future. The
//! three states on the right and below are final; a final job is deleted after its retention ([`prune()`]).
//!
//! | from | to | by | cause | spends |
//! | --- | --- | --- | --- | --- |
//! | - | available | enqueue | a producer, in its own transaction ([`enqueue()`], SQL); a commit; a schedule's tick | - |
//! | available | running | claim | a worker with a free slot for the kind | `attempt` + 1, a fresh lease |
//! | available | available | pull forward | a person or a producer ([`retry`], [`pull_forward`]): due now | - |
//! | running | completed | complete | the attempt: `run` and `commit` succeeded | - |
//! | running | available | retry | the attempt: [`JobError::retry`], a panic or a timeout | `errors` + 1 |
//! | running | available | wait | the attempt: [`JobError::wait`], or the database was away | - |
//! | running | available | wait | the attempt: an error that [blames its group](JobError::blames_group), while the group's breaker is open | - |
//! | running | available | release | a worker that stops, or that finds a claimed job that never arrived | - |
//! | running | available | rescue | any worker, once the owner's heartbeat stood still | `crashes` + 1, or reset to 0 if the checkpoint advanced |
//! | running | discarded | discard | the attempt: [`JobError::fatal`], `errors` at `max_attempts`, or `give_up_at` passed | `errors` + 1 unless it waited |
//! | running | discarded | discard | the worker that claims a job with `crashes` at `max_crashes`, without a run | `errors` + 1 |
//! | running | discarded | discard | the worker that claims a job past its `give_up_at` while its group's breaker is open, without a run | - |
//! | available, running | cancelled | cancel | a person or a deletion ([`Registry::cancel`], [`cancel_subject`]) | - |
//! | running | cancelled | cancel | the attempt: its commit found its subject gone ([`Commit::cancelled`]) | - |
//! | discarded, cancelled | available | retry by hand | a person ([`retry`]) | both budgets restart at 0, with the full time |
//!
//! `attempt` never decreases and guards nothing. The **lease** guards: each claim makes a fresh one, and
//! every write of the attempt (begin, progress, checkpoint, commit, fail) names it. Zero rows means that the
//! lease is lost; then nothing is written. CHECK constraints hold what SQL can hold: a running row has an
//! owner, an available one has none, a final one has a date.
//!
//! # An attempt
//!
//! No transaction is open while the handler runs. Short ones surround it; the last makes the caller's rows,
//! the job's completion and the next job visible together. One **heartbeat** per process, on its own thread
//! and connection, keeps all its attempts alive. Any worker rescues the jobs of one whose counter stands
//! still.
//!
//! # Reading order
//!
//! [`migrate`](mod@migrate) (the tables), [`job`] (a kind and its hooks), `policy`, `enqueue`, `claim` (which
//! jobs run next), `worker` (the process and its apalis backend), `settle` (how attempts end), `fence` (their
//! writes), `liveness` (heartbeat and rescue), `cron`, and `admin` with [`inspect`] (operators).

mod admin;
mod claim;
mod column;
mod cron;
mod database_retry;
mod dedicated_connection;
mod enqueue;
mod error;
mod fence;
mod host_fault;
pub mod job;
mod liveness;
pub mod migrate;
mod options;
mod policy;
mod settle;
mod stale;
mod worker;

pub use admin::activity::{ACTIVITY_KEPT, Activity, ActivityRow, activity};
pub use admin::breakers::{BREAKERS_LIMIT, BreakerView, breakers};
pub use admin::fleet::{Depth, ScheduleView, WorkerView, depths, schedules, workers};
pub use admin::operate::{Retried, cancel_subject, pull_forward, regroup, retry};
pub use admin::operate_many::{cancel_many, delete_many, reprioritise_many, retry_many};
pub use admin::overview::{Overview, overview};
pub use admin::prune::{Retention, prune};
pub use admin::queues::{QueueView, pause, queues, resume};
pub use admin::watch::{Pulse, WatchedJob, watch};
pub use admin::{COUNT_LIMIT, inspect};
pub use cron::schedule::{CatchUp, Schedule, ScheduleError, next_tick};
pub use cron::scheduler::run_scheduler;
pub use enqueue::insert::{Enqueued, enqueue, enqueue_many};
pub use enqueue::queue::Queue;
pub use error::{JobError, is_passing};
pub use job::Job;
pub use job::attempt::Attempt;
pub use job::discard::{DiscardHook, Discarded};
pub use job::end::{Commit, End, Failure};
pub use job::new_job::NewJob;
pub use migrate::migrate;
pub use options::WorkerOptions;
pub use policy::Policy;
pub use policy::backoff::Backoff;
pub use policy::breaker::Breaker;
pub use stale::{is_fresh, mark_stale, note_stale, replace_stale};
pub use worker::drain::drain;
pub use worker::error::WorkerError;
pub use worker::registry::{EnqueueError, Registry};
pub use worker::run::run_worker;
