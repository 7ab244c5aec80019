//! What a clean-up found and did.

use serde::Serialize;

/// Why nothing was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The storage is not marked with this database's installation id.
    WrongStorage,
    /// Too large a part of the listed files would have gone.
    TooMany,
}

/// What was found and done; in a dry run, what would have been done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether changes were made.
    pub dry_run: bool,
    /// Set where nothing was deleted for safety.
    pub refused: Option<Refusal>,
    /// Files listed.
    pub listed: usize,
    /// Listed files that nobody here could have named; left alone.
    pub unknown: usize,
    /// Files that are orphans.
    pub orphans: usize,
    /// Files deleted.
    pub files_deleted: usize,
    /// Their size in bytes.
    pub bytes_deleted: u64,
    /// Lectures removed that nobody was linked to.
    pub lectures_removed: usize,
    /// Failed lectures whose kept audio was given up.
    pub audio_expired: usize,
    /// Lectures started again.
    pub lectures_restarted: usize,
    /// Documents whose file was found missing.
    pub documents_failed: usize,
    /// Files that lectures refer to and that are missing.
    pub missing: usize,
    /// Lectures whose course does not exist.
    pub lectures_without_course: usize,
    /// Documents whose course does not exist.
    pub documents_without_course: usize,
    /// The first of the keys that are missing or were not deleted because too many would have gone.
    pub examples: Vec<String>,
}

/// Keys that a report names at most.
const MAX_EXAMPLES: usize = 20;

impl Report {
    pub(super) fn example(&mut self, key: &str) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(key.to_owned());
        }
    }
}
