//! Which jobs a list, a count or a walk returns.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::view::JobState;

/// Which jobs to list. Every field that is set must match. Serialized, it holds the conditions without the
/// page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Only this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Only jobs whose last failed attempt has this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// Only jobs whose last attempt ran on the worker of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Only jobs of this group, such as an upstream's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Uuid>,
    /// Only one of these subjects: thousands at most, since each costs an index lookup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<Uuid>>,
    /// Only jobs created at this time or later; with a final state, jobs that ended then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Only jobs created before this time; with a final state, jobs that ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Only jobs after this one in the list: the last job of the previous page.
    #[serde(skip)]
    pub after: Option<Uuid>,
    /// Most jobs to return.
    #[serde(skip)]
    pub limit: i64,
}

/// Longest time from the start of a transaction to the insert of a job in it: `created_at` is the former, the
/// time in the id the latter.
const SLOWEST_ENQUEUE: TimeDelta = TimeDelta::minutes(10);

impl Filter {
    /// True if it matches every job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { after: self.after, limit: self.limit, ..Self::default() }
    }

    /// True for the three states of ended jobs.
    pub(super) fn wants_ended(&self) -> bool {
        matches!(self.state, Some(JobState::Completed | JobState::Discarded | JobState::Cancelled))
    }

    /// The wanted subjects, each once. None if any subject will do.
    pub(super) fn wanted_subjects(&self) -> Option<Vec<Uuid>> {
        let mut wanted = match (self.subject, &self.subjects) {
            (None, None) => return None,
            (Some(one), None) => vec![one],
            (None, Some(some)) => some.clone(),
            (Some(one), Some(some)) => some.iter().copied().filter(|other| *other == one).collect(),
        };
        wanted.sort_unstable();
        wanted.dedup();
        Some(wanted)
    }

    /// A job created in the range has at least this id. None without such a range.
    pub(super) fn least_id(&self) -> Option<Uuid> {
        self.from.filter(|_| !self.wants_ended()).map(first_id_at)
    }

    /// A job created in the range, or after `self.after` in the list, has a lower id than this.
    pub(super) fn upper_id(&self) -> Option<Uuid> {
        let until = self.until.filter(|_| !self.wants_ended());
        let until =
            until.map(|until| first_id_at(until.checked_add_signed(SLOWEST_ENQUEUE).unwrap_or(until)));
        self.after.into_iter().chain(until).min()
    }
}

/// The lowest id that a job can get at this time. Ids begin with 48 bits of milliseconds.
fn first_id_at(time: DateTime<Utc>) -> Uuid {
    const LAST: i64 = (1 << 48) - 1;
    Uuid::from_u128(u128::from(time.timestamp_millis().clamp(0, LAST).unsigned_abs()) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_the_time() {
        let time: DateTime<Utc> = "2026-11-26T12:00:00Z".parse().unwrap();
        assert_eq!(first_id_at(time).as_u128() >> 80, u128::from(time.timestamp_millis().unsigned_abs()));
        assert_eq!(first_id_at(DateTime::<Utc>::MIN_UTC), Uuid::nil());
        assert!(first_id_at(DateTime::<Utc>::MAX_UTC) > first_id_at(time));
    }

    #[test]
    fn the_page_is_no_condition() {
        assert!(Filter { after: Some(Uuid::nil()), limit: 5, ..Filter::default() }.is_empty());
        assert!(!Filter { subjects: Some(Vec::new()), ..Filter::default() }.is_empty());
        let kind = Filter { kind: Some("step".to_owned()), limit: 5, ..Filter::default() };
        assert_eq!(serde_json::to_value(kind).unwrap(), serde_json::json!({ "kind": "step" }));
    }

    #[test]
    fn one_subject_and_several_are_both_conditions() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let wanted = |subject, subjects| Filter { subject, subjects, ..Filter::default() }.wanted_subjects();
        assert_eq!(wanted(None, None), None);
        assert_eq!(wanted(Some(one), None), Some(vec![one]));
        assert_eq!(wanted(None, Some(vec![other, one, other])), Some(vec![one, other]));
        assert_eq!(wanted(Some(one), Some(vec![other])), Some(Vec::new()));
    }
}
