//! The args of the kinds, as stored in `queue.jobs.args`.
//!
//! Args hold ids and nothing that goes stale: an attempt reads the row when it starts. The file with a kind's
//! name has its code.

use std::time::Duration;

use bedel_queue::{Job, NewJob};
use bedel_speech::Choice;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::webhook::receiver_group::ReceiverGroup;

/// Resolves the URL of the recording's stream.
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
    /// Length of the recording in seconds, if Panopto announced it.
    #[serde(default)]
    pub announced_seconds: Option<f64>,
}

/// Measures the stored audio of a lecture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probe {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Length of the sound in seconds, if the source announced it.
    #[serde(default)]
    pub announced_seconds: Option<f64>,
}

/// Transcribes the stored audio of a lecture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transcribe {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Engine and model of this job alone, instead of the lecture's options.
    #[serde(flatten)]
    pub choice: Choice,
}

impl Transcribe {
    /// Uses the lecture's options.
    #[must_use]
    pub fn new(lecture_id: Uuid) -> Self {
        Self { lecture_id, choice: Choice::default() }
    }
}

/// Removes orphans: all of them, or those of one lecture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanupOrphans {
    /// Limits the clean-up to one lecture.
    #[serde(default)]
    pub lecture_id: Option<Uuid>,
    /// Counts and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Delay of the second clean-up after a cancellation: several heartbeats plus the time to finish a write.
const SECOND_CLEANUP_DELAY: Duration = Duration::from_secs(60);

impl CleanupOrphans {
    /// A clean-up of one lecture's files, to enqueue in the transaction that deletes or fails the lecture. It
    /// has no subject: it is no part of the lecture's history and must not be cancelled with it.
    #[must_use]
    pub fn for_lecture(lecture_id: Uuid) -> NewJob {
        NewJob::new(&Self { lecture_id: Some(lecture_id), dry_run: false }).priority(3)
    }

    /// Two clean-ups for a lecture whose job was cancelled, one now and one later. Until an attempt notices
    /// that it lost its lease, it can still store a temporary object or finish a rename.
    #[must_use]
    pub fn after_cancelling(lecture_id: Uuid) -> [NewJob; 2] {
        [Self::for_lecture(lecture_id), Self::for_lecture(lecture_id).delay(SECOND_CLEANUP_DELAY)]
    }
}

/// Syncs the official courses with the catalogue. Rejects unknown args: a misspelt `dry_run` must not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CourseSync {
    /// Terms such as `Fall 2026`, instead of the configured ones. A course in none of them counts as gone.
    #[serde(default)]
    pub terms: Option<Vec<String>>,
    /// Runs the same statements, reports their effect and rolls back.
    #[serde(default)]
    pub dry_run: bool,
}

impl CourseSync {
    /// The job, with the unique key that all producers share: at most one sync is live.
    #[must_use]
    pub fn job(&self) -> NewJob {
        NewJob::new(self).unique_key(Self::KIND)
    }
}

/// Works through a bulk operation, whose row says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkJobs {
    /// The row in `bulk_operations`; also the job's subject.
    pub operation_id: Uuid,
}

/// Adds transcripts that are not searchable yet to the index, such as those from before the index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexTranscripts {
    /// Replaces the rows of all transcripts.
    #[serde(default)]
    pub all: bool,
}

/// Sends one message of a webhook to its receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverWebhook {
    /// The message.
    pub message_id: Uuid,
}

impl DeliverWebhook {
    /// Prefix of the unique keys of messages.
    pub const KEY_PREFIX: &str = "webhook:";

    /// The job that sends a message to this receiver. Its message is its subject and its unique key.
    #[must_use]
    pub fn job(message_id: Uuid, group: Option<&ReceiverGroup>) -> NewJob {
        let job = Self { message_id }.bind(NewJob::new(&Self { message_id }));
        match group {
            Some(group) => job.group_key(group.to_string()),
            None => job,
        }
    }

    /// Gives the job its message as subject and unique key.
    #[must_use]
    pub fn bind(&self, job: NewJob) -> NewJob {
        let Self { message_id } = self;
        job.subject(*message_id).unique_key(format!("{}{message_id}", Self::KEY_PREFIX))
    }
}

/// Deletes removed webhooks, and old messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneWebhooks {}
