//! What a page follows.

use std::collections::HashMap;
use std::str::FromStr;

use uuid::Uuid;

/// Most topics of a page.
const MAX_TOPICS: usize = 120;

/// What a page follows, read from `lectures,lecture:UUID,job:UUID,jobs,overview,workers`. A part after another colon is what
/// the page shows already: the lecture's mark, or the newest lecture's id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Topics {
    /// Lectures, with the status that the page shows.
    pub(super) lectures: HashMap<Uuid, Option<String>>,
    /// The user's list.
    pub(super) list: bool,
    /// The newest lecture that the list shows.
    pub(super) newest: Option<Uuid>,
    /// Jobs, for admins.
    pub(super) jobs: Vec<Uuid>,
    /// The list of all jobs, for admins.
    pub(super) all_jobs: bool,
    /// Queues, workers and counts, for admins.
    pub(super) overview: bool,
    /// As the overview, and the progress of running jobs.
    pub(super) workers: bool,
}

impl Topics {
    /// True if they include an operator's topic: anything of the queue.
    pub(super) fn follows_queue(&self) -> bool {
        !self.jobs.is_empty() || self.all_jobs || self.overview || self.workers
    }
}

/// A text that names no topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownTopic;

impl FromStr for Topics {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        let mut topics = Self::default();
        let parts: Vec<&str> = text.split(',').filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_TOPICS {
            return Err(UnknownTopic);
        }
        for part in parts {
            let mut words = part.split(':');
            let (name, first, second) = (words.next(), words.next(), words.next());
            let id = |word: Option<&str>| word.and_then(|word| word.parse::<Uuid>().ok()).ok_or(UnknownTopic);
            match name {
                Some("lecture") => {
                    topics.lectures.insert(id(first)?, second.map(str::to_owned));
                }
                Some("lectures") => {
                    topics.list = true;
                    topics.newest = first.map(|word| id(Some(word))).transpose()?;
                }
                Some("job") => topics.jobs.push(id(first)?),
                Some("jobs") => topics.all_jobs = true,
                Some("overview") => topics.overview = true,
                Some("workers") => topics.workers = true,
                _ => return Err(UnknownTopic),
            }
        }
        Ok(topics)
    }
}

/// The topic of one lecture. `mark`: what the page shows of it, see `lectures::state::mark`.
pub(crate) fn lecture(id: Uuid, mark: &str) -> String {
    format!("lecture:{id}:{mark}")
}

/// The topic of the user's list.
pub(crate) fn lectures(newest: Option<Uuid>) -> String {
    newest.map_or_else(|| "lectures".to_owned(), |id| format!("lectures:{id}"))
}

/// The topic of one job. The operators' pages use it, like the next two.
pub(crate) fn job(id: Uuid) -> String {
    format!("job:{id}")
}

/// The event that a topic's change sends, for `hx-trigger="EVENT from:#live"`: `lecture-UUID`, `lectures`,
/// `job-UUID`, `jobs`, `overview` or `workers`.
pub(crate) fn event_of(topic: &str) -> String {
    let mut words = topic.split(':');
    match (words.next(), words.next()) {
        (Some(name @ ("lecture" | "job")), Some(id)) => format!("{name}-{id}"),
        (name, _) => name.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x26b3);

    #[test]
    fn topics_are_read_from_what_pages_write() {
        let text = [lecture(ID, "failed"), lectures(Some(ID)), "jobs".to_owned()].join(",");
        let topics: Topics = text.parse().unwrap();
        assert_eq!(topics.lectures[&ID].as_deref(), Some("failed"));
        assert_eq!((topics.list, topics.newest), (true, Some(ID)));
        assert!(topics.follows_queue());
        assert_eq!(event_of(&lecture(ID, "failed")), format!("lecture-{ID}"));
        assert_eq!(event_of(&lectures(None)), "lectures");
        assert!(!"".parse::<Topics>().unwrap().follows_queue());
        for bad in ["lecture", "lecture:x", "queues", "lectures:x", &vec!["jobs"; 121].join(",")] {
            assert_eq!(bad.parse::<Topics>(), Err(UnknownTopic), "{bad}");
        }
    }
}
