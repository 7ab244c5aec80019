//! The result of a synchronisation.

use serde::Serialize;

/// The job's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Courses that were new.
    pub created: u64,
    /// Courses whose title, instructor or standing changed.
    pub updated: u64,
    /// Courses that were as the catalogue says, and those of users that were left alone.
    pub unchanged: u64,
    /// Official courses that were gone from the catalogue, with nothing referring to them.
    pub deleted: u64,
    /// Official courses that were gone from the catalogue but are referred to: they became unofficial.
    pub retained: u64,
    /// Courses in the catalogue: `created + updated + unchanged`.
    pub total: u64,
    /// The terms that were asked for, oldest first.
    pub terms: Vec<String>,
    /// True where official courses were gone from the catalogue and nothing was done about it, because a term
    /// failed or more than a fifth were gone.
    pub deletion_skipped: bool,
    /// True where a term failed.
    pub partial: bool,
    /// The terms that failed.
    pub failed_terms: Vec<String>,
    /// Entries of the catalogue that could not be used: no code, no title, or a code of no known shape.
    pub skipped_entries: u64,
}
