//! The typed jobs that bring a lecture in, and the rows that they change.
//!
//! A **job** is a row of `queue.jobs`: a kind and its args. A **kind** is a type in this crate that
//! implements [`Job`](bedel_queue::Job). Its serde fields are the args, and its `impl` says how to run them:
//!
//! - `policy` has the budgets, the backoff and the timeout, and says why.
//! - `run` does the work, with no transaction open. It may run twice, and its process can die anywhere.
//! - `commit` writes the result and the next job in the transaction that completes this job.
//!
//! Every job gets the same [`Environment`]: database, storage, HTTP client, media tools, speech engines and
//! settings.
//!
//! # The life of a lecture
//!
//! ```text
//!  status     job
//!             POST /api/lectures, in one transaction: lecture row, link to the user, first job
//!                 │
//!  pending    submit       asks Panopto for the stream, unless the client sent it
//!                 │
//!  downloading    ▼
//!             download     fetches the recording, stores audio/{id}.m4a
//!                 │
//!                 ▼
//!             probe        decodes the audio, stores the duration
//!                 │
//!                 ▼
//!             transcribe   runs the speech engine, stores transcripts/{id}.json and .vtt
//!                 │
//!  completed      ▼
//!
//!  failed     one of the four was discarded or cancelled; a retry restarts at the latest possible stage
//! ```
//!
//! The four stages share one unique key, so a lecture has at most one live job. A failed attempt writes its
//! reason to the lecture and keeps the status: the job waits or retries. Only the end of the job fails the
//! lecture.
//!
//! Three more kinds keep the rest in order. [`cleanup_orphans`] removes files and lectures that nothing refers
//! to, [`course_sync`] copies the course catalogue, and [`index_transcripts`] adds older transcripts to the search.
//! [`bulk_jobs`] retries, cancels, reprioritises or deletes many jobs for an operator.
//! [`deliver_webhook`] tells other programs that a lecture ended, and [`prune_webhooks`] deletes old messages.
//!
//! # Reading order
//!
//! 1. [`kinds`]: the args of all kinds on one page.
//! 2. [`pipeline`]: the order of the stages, and the hooks that they share.
//! 3. The jobs: [`submit`], [`download`], [`probe`], [`transcribe`], [`cleanup_orphans`], [`course_sync`],
//!    [`index_transcripts`], [`deliver_webhook`], [`prune_webhooks`], [`bulk_jobs`].
//! 4. What operators do: [`operations`] on one job, [`bulk`] on many, and the [`audit`] log.
//! 5. The rows: [`lecture`] first and its [`options`], then [`course`], [`document`], [`user`], [`webhook`] and
//!    [`installation`].
//!
//! # Adding a kind
//!
//! Write one file with a type and its `impl Job`, and add one line to `registry::kinds!` below. Workers, the
//! API and `bedel enqueue` then know the kind. A stage of the pipeline also implements [`pipeline::Stage`]
//! and changes the job before it in [`pipeline`].

// In the order in which a lecture meets them.
registry::kinds! {
    submit::Submit,
    download::Download,
    probe::Probe,
    transcribe::Transcribe,
    cleanup_orphans::CleanupOrphans,
    course_sync::CourseSync,
    index_transcripts::IndexTranscripts,
    bulk_jobs::BulkJobs,
    deliver_webhook::DeliverWebhook,
    prune_webhooks::PruneWebhooks,
}

// Their args, order and registry.
pub mod kinds;
pub mod pipeline;
pub mod registry;
// What operators do with them.
pub mod audit;
pub mod bulk;
pub mod operations;
// Their common context and helpers.
mod audio;
pub mod environment;
pub mod error_class;
pub mod invalid_field;
pub mod scratch;
// The rows that they change.
pub mod course;
pub mod document;
pub mod installation;
pub mod lecture;
pub mod options;
pub mod user;
pub mod webhook;

pub use environment::{Environment, Settings};
