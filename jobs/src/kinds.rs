//! The args of the six kinds: what stands in `queue.jobs.args`.
//!
//! Args hold ids and nothing that goes stale; an attempt reads the row when it starts. What a kind does is in the file of
//! its name.

use std::time::Duration;

use bedel_queue::{Job, NewJob};
use bedel_speech::Choice;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Finds out where the recording's stream is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submit {
    /// The lecture.
    pub lecture_id: Uuid,
}

/// Downloads the recording and keeps its audio.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Download {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Length of the recording in seconds, where Panopto announced it.
    #[serde(default)]
    pub announced_seconds: Option<f64>,
}

/// Measures the stored audio of a lecture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probe {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Length of the sound in seconds, where the source announced it.
    #[serde(default)]
    pub announced_seconds: Option<f64>,
}

/// Turns the stored audio of a lecture into its transcript.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transcribe {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Another engine or model than the worker's default.
    #[serde(flatten)]
    pub choice: Choice,
}

impl Transcribe {
    /// With the worker's default engine.
    #[must_use]
    pub fn of(lecture_id: Uuid) -> Self {
        Self { lecture_id, choice: Choice::default() }
    }
}

/// Removes orphans, of everything or of one lecture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanupOrphans {
    /// One lecture, or everything.
    #[serde(default)]
    pub lecture_id: Option<Uuid>,
    /// Count, but change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Delay of the second clean-up after a cancellation: several heartbeats, and time to finish a write.
const SECOND_CLEANUP_DELAY: Duration = Duration::from_secs(60);

impl CleanupOrphans {
    /// The job that cleans up one lecture's files, for the transaction that deletes or fails the lecture. It has no subject:
    /// it is no part of the lecture's history, and must not be cancelled with it.
    #[must_use]
    pub fn of_lecture(lecture_id: Uuid) -> NewJob {
        NewJob::new(&Self { lecture_id: Some(lecture_id), dry_run: false }).priority(3)
    }

    /// The same for a lecture whose work was cancelled: one clean-up now and one later. Until an attempt notices that it lost
    /// its lease, it may store a temporary object or finish a rename after the first.
    #[must_use]
    pub fn after_cancelling(lecture_id: Uuid) -> [NewJob; 2] {
        [Self::of_lecture(lecture_id), Self::of_lecture(lecture_id).delay(SECOND_CLEANUP_DELAY)]
    }
}

/// Makes the official courses what the catalogue says. Unknown args are refused: a misspelt `dry_run` must not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CourseSync {
    /// Terms such as `Fall 2026` instead of the configured ones. Courses that are in none of them count as gone.
    #[serde(default)]
    pub terms: Option<Vec<String>>,
    /// Runs the same statements, reports what they did, and rolls back.
    #[serde(default)]
    pub dry_run: bool,
}

impl CourseSync {
    /// The job, with the unique key that all its producers share: at most one synchronisation is live.
    #[must_use]
    pub fn job(&self) -> NewJob {
        NewJob::new(self).unique_key(Self::KIND)
    }
}
