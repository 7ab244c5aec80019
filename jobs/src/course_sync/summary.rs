//! The result of a course sync.

use serde::Serialize;

/// The job's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// New courses.
    pub created: u64,
    /// Courses whose title, instructor or official status changed.
    pub updated: u64,
    /// Courses that already matched the catalogue, and users' courses that were kept.
    pub unchanged: u64,
    /// Official courses missing in the catalogue, without references: deleted.
    pub deleted: u64,
    /// Official courses missing in the catalogue, with references: they became unofficial.
    pub retained: u64,
    /// Courses in the catalogue: `created + updated + unchanged`.
    pub total: u64,
    /// The requested terms, oldest first.
    pub terms: Vec<String>,
    /// True if official courses are missing in the catalogue but were kept, because a term failed or more
    /// than a fifth are missing.
    pub deletion_skipped: bool,
    /// True if a term failed.
    pub partial: bool,
    /// The terms that failed.
    pub failed_terms: Vec<String>,
    /// Unusable entries of the catalogue: no code, no title, or a code of unknown shape.
    pub skipped_entries: u64,
}
