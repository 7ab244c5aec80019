//! The six typed jobs that bring a lecture in, in the order a lecture meets them, and the rows they change.

// The kinds, in the order in which a lecture meets them. A new kind is a file beside this one and a line here.
registry::kinds! {
    submit::Submit,
    download::Download,
    probe::Probe,
    transcribe::Transcribe,
    cleanup_orphans::CleanupOrphans,
    course_sync::CourseSync,
}

// Their args, what follows what, and their registry.
pub mod kinds;
pub mod pipeline;
pub mod registry;
// What the jobs get and share.
mod audio;
pub mod environment;
pub mod error_class;
pub mod scratch;
// The rows they change.
pub mod course;
pub mod document;
pub mod installation;
pub mod lecture;
pub mod user;

pub use environment::{Environment, Settings};
