//! The six typed jobs that bring a lecture in, in the order a lecture meets them, and the rows they change.

// The kinds: their args, the order of the stages, and who runs them.
pub mod kinds;
pub mod pipeline;
pub mod registry;
// The pipeline.
pub mod download;
pub mod probe;
pub mod submit;
pub mod transcribe;
// The cron jobs.
pub mod cleanup_orphans;
pub mod course_sync;
// What the jobs get and share.
mod audio;
pub mod environment;
pub mod scratch;
// The rows they change.
pub mod course;
pub mod document;
pub mod installation;
pub mod lecture;
pub mod user;

pub use environment::{Environment, Settings};
