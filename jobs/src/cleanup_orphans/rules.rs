//! Decides which files are orphans. No I/O.

use std::collections::{HashMap, HashSet};

use bedel_storage::StoredObject;
use bedel_storage::keys::{self, Class, ParsedKey};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::rows::LectureFacts;
use crate::lecture::LectureStatus;

/// Files that can precede their row, or that name no lease, are kept for this long after their last write.
const GRACE_PERIOD: TimeDelta = TimeDelta::hours(1);

/// A sweep that finds more orphans than both limits deletes nothing.
const MAX_ORPHANS: usize = 20;
const MAX_ORPHAN_PERCENT: usize = 20;

/// A listed file with a known name.
#[derive(Debug, Clone)]
pub(super) struct FoundFile {
    pub(super) stored: StoredObject,
    pub(super) parsed: ParsedKey,
}

/// A listing of the storage, grouped by owner.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) of_lectures: HashMap<Uuid, Vec<FoundFile>>,
    pub(super) of_documents: HashMap<Uuid, Vec<FoundFile>>,
    /// The keys of all objects.
    pub(super) keys: HashSet<String>,
    pub(super) listed: usize,
    pub(super) unknown: usize,
}

impl Listing {
    pub(super) fn add(&mut self, files: Vec<StoredObject>) {
        for stored in files {
            self.listed += 1;
            if !stored.is_staged() {
                self.keys.insert(stored.key.clone());
            }
            let Some(parsed) = keys::parse(&stored.key) else {
                self.unknown += 1;
                continue;
            };
            let owners =
                if parsed.class.is_of_document() { &mut self.of_documents } else { &mut self.of_lectures };
            owners.entry(parsed.id).or_default().push(FoundFile { stored, parsed });
        }
    }
}

/// What decides about a file, beside its row.
#[derive(Debug)]
pub(super) struct OrphanRules {
    /// The storage's time, read before the listing.
    pub(super) now: DateTime<Utc>,
    /// The running leases, read after the listing.
    pub(super) running: HashSet<Uuid>,
    /// The clean-up is for one lecture that was deleted or has failed. Files that could precede a row get no
    /// grace period then.
    pub(super) targeted: bool,
}

impl OrphanRules {
    fn is_old(&self, stored: &StoredObject) -> bool {
        self.now.signed_duration_since(stored.modified) > GRACE_PERIOD
    }

    /// True if a lecture's file is an orphan. `lecture` is `None` if it has no row.
    pub(super) fn is_orphan(&self, found: &FoundFile, lecture: Option<&LectureFacts>) -> bool {
        let FoundFile { stored, parsed } = found;
        if stored.is_staged() || parsed.class == Class::Temporary {
            return match parsed.lease {
                Some(lease) => !self.running.contains(&lease),
                None => self.is_old(stored) || (self.targeted && lecture.is_none()),
            };
        }
        let Some(lecture) = lecture else {
            return self.targeted || parsed.class != Class::Upload || self.is_old(stored);
        };
        if lecture.refers_to(&stored.key) {
            return false;
        }
        match parsed.class {
            Class::Audio | Class::TranscriptJson => !lecture.live,
            Class::TranscriptVtt => !lecture.live && !lecture.refers_to(&keys::transcript_json(parsed.id)),
            // Pieces cost money: a retry that fetches the same audio reuses them.
            Class::TranscriptPiece => !lecture.live && lecture.status == LectureStatus::Completed,
            Class::Upload => lecture.status == LectureStatus::Completed,
            Class::Temporary | Class::LectureChunks | Class::Document | Class::DocumentChunks => false,
        }
    }

    /// True if a document's file is an orphan. A document is stored before its row is inserted.
    pub(super) fn is_orphan_document(&self, found: &FoundFile, has_row: bool) -> bool {
        self.is_old(&found.stored) && (!has_row || found.stored.is_staged())
    }
}

/// True if the number of orphans points to another fault, such as a half-restored database.
pub(super) fn too_many(orphans: usize, total: usize) -> bool {
    orphans > MAX_ORPHANS && orphans * 100 > total * MAX_ORPHAN_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_files_or_a_fifth_may_be_orphans() {
        assert!(!too_many(20, 20));
        assert!(too_many(21, 104));
        assert!(!too_many(21, 105));
        assert!(!too_many(0, 0));
    }
}
