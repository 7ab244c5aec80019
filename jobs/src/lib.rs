//! The six typed jobs that bring a lecture in, in the order a lecture meets them, and what they touch.

// The pipeline.
pub mod download;
pub mod probe;
pub mod submit;
pub mod transcribe;
// What its stages share.
pub mod source;
pub mod stage;
// The cron jobs.
pub mod cleanup_orphans;
pub mod course_sync;

// What they touch.
mod blocking;
pub mod catalogue;
pub mod course;
pub mod document;
pub mod environment;
pub mod fetch;
pub mod hexadecimal;
mod host_fault;
pub mod lecture;
pub mod media;
pub mod panopto;
pub mod registry;
pub mod speech;
pub mod storage;
pub mod users;

pub use environment::{Environment, Settings};
