//! The six typed jobs that bring a lecture in, in the order a lecture meets them, and the rows they change.

// The pipeline.
pub mod download;
pub mod probe;
pub mod submit;
pub mod transcribe;
// What its stages share.
pub mod stage;
// The cron jobs.
pub mod cleanup_orphans;
pub mod course_sync;
// The kinds of jobs, and what they get.
pub mod environment;
pub mod registry;
// The rows they change.
pub mod course;
pub mod document;
pub mod installation;
pub mod lecture;
pub mod users;

pub use environment::{Environment, Settings};
