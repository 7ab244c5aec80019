//! Whether a file goes: rules alone, no database and no storage.

use std::collections::{HashMap, HashSet};

use bedel_storage::StoredObject;
use bedel_storage::keys::{self, Class, ParsedKey};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::rows::LectureFacts;
use crate::lecture::LectureStatus;

/// Files that can precede their row, or that name no lease, are left alone for so long after their last write.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// The limits above which a sweep deletes nothing.
const MANY_FILES: usize = 20;
const MANY_PERCENT: usize = 20;

/// A listed file whose name is one of ours.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) stored: StoredObject,
    pub(super) parsed: ParsedKey,
}

/// A listing, sorted by whom the files belong to.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) of_lectures: HashMap<Uuid, Vec<Found>>,
    pub(super) of_documents: HashMap<Uuid, Vec<Found>>,
    /// Every key under which there is an object.
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
            owners.entry(parsed.id).or_default().push(Found { stored, parsed });
        }
    }
}

/// What a file is judged by, beside its row.
#[derive(Debug)]
pub(super) struct Judge {
    /// The storage's time, from before the listing.
    pub(super) now: DateTime<Utc>,
    /// The leases that are running, from after the listing.
    pub(super) running: HashSet<Uuid>,
    /// One lecture was asked about, because it has been deleted or has failed: what can precede a row is no reason to
    /// wait.
    pub(super) targeted: bool,
}

impl Judge {
    fn is_old(&self, stored: &StoredObject) -> bool {
        self.now.signed_duration_since(stored.modified) > GRACE
    }

    /// Whether a lecture's file goes. `lecture` is `None` where it has no row.
    pub(super) fn goes(&self, found: &Found, lecture: Option<&LectureFacts>) -> bool {
        let Found { stored, parsed } = found;
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
            // It was paid for: a retry that brings the same audio in finds it.
            Class::TranscriptPiece => !lecture.live && lecture.status == LectureStatus::Completed,
            Class::Upload => lecture.status == LectureStatus::Completed,
            Class::Temporary | Class::LectureChunks | Class::Document | Class::DocumentChunks => false,
        }
    }

    /// Whether a document's file goes. A document is stored before its row is inserted.
    pub(super) fn document_goes(&self, found: &Found, has_row: bool) -> bool {
        self.is_old(&found.stored) && (!has_row || found.stored.is_staged())
    }
}

/// Whether so much would go that something else must be wrong.
pub(super) fn too_many(going: usize, of: usize) -> bool {
    going > MANY_FILES && going * 100 > of * MANY_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_files_or_a_fifth_may_go() {
        assert!(!too_many(20, 20));
        assert!(too_many(21, 104));
        assert!(!too_many(21, 105));
        assert!(!too_many(0, 0));
    }
}
