//! The result of a clean-up.

use serde::Serialize;

/// Why nothing was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The storage is not marked with this database's installation id.
    WrongStorage,
    /// Too large a part of the listed files are orphans.
    TooMany,
}

/// Findings and actions; in a dry run, the actions it would take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// True for a dry run, which changes nothing.
    pub dry_run: bool,
    /// Why nothing was deleted, if so.
    pub refused: Option<Refusal>,
    /// Files listed.
    pub listed: usize,
    /// Listed files with unknown names; kept.
    pub unknown: usize,
    /// Orphaned files.
    pub orphans: usize,
    /// Files deleted.
    pub files_deleted: usize,
    /// Their size in bytes.
    pub bytes_deleted: u64,
    /// Lectures removed because no user was linked to them.
    pub lectures_removed: usize,
    /// Failed lectures whose kept audio was deleted.
    pub audio_expired: usize,
    /// Lectures restarted.
    pub lectures_restarted: usize,
    /// Documents marked as failed because their file is missing.
    pub documents_failed: usize,
    /// Missing files that lectures refer to.
    pub missing: usize,
    /// Lectures whose course does not exist.
    pub lectures_without_course: usize,
    /// Documents whose course does not exist.
    pub documents_without_course: usize,
    /// The first keys that are missing, or orphans that were kept because there are too many.
    pub examples: Vec<String>,
}

/// Most keys in a report.
const MAX_EXAMPLES: usize = 20;

impl Report {
    pub(super) fn add_example(&mut self, key: &str) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(key.to_owned());
        }
    }
}
