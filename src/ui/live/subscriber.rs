//! One open stream: what it follows and what it was sent.

use std::collections::HashMap;

use axum::response::sse::Event;
use bedel_jobs::lecture::watch::WatchedLecture;
use bedel_queue::{Pulse, WatchedJob};
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use super::topic::Topics;
use crate::api::auth::sessions::SessionId;

/// A lecture as the stream knows it.
#[derive(Debug, Clone)]
pub(super) struct KnownLecture {
    /// What the page shows: see `lectures::state::mark`.
    pub(super) mark: Option<String>,
    /// What was sent last.
    pub(super) sent: Option<WatchedLecture>,
}

/// One open stream.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) session: SessionId,
    pub(super) user_id: Uuid,
    /// A removed lecture leaves the map.
    pub(super) lectures: HashMap<Uuid, KnownLecture>,
    pub(super) list: bool,
    pub(super) newest: Option<Uuid>,
    pub(super) jobs: HashMap<Uuid, Option<WatchedJob>>,
    pub(super) all_jobs: bool,
    pub(super) overview: bool,
    pub(super) workers: bool,
    pub(super) pulse: Option<Pulse>,
    /// False until a round reads what it follows.
    pub(super) is_polled: bool,
    /// True while the client knows that the database is away.
    pub(super) is_away: bool,
    pub(super) sender: Sender<Event>,
}

impl Subscriber {
    pub(super) fn new(session: SessionId, user_id: Uuid, topics: Topics, sender: Sender<Event>) -> Self {
        let lectures = topics.lectures.into_iter();
        Self {
            session,
            user_id,
            lectures: lectures.map(|(id, mark)| (id, KnownLecture { mark, sent: None })).collect(),
            list: topics.list,
            newest: topics.newest,
            jobs: topics.jobs.into_iter().map(|id| (id, None)).collect(),
            all_jobs: topics.all_jobs,
            overview: topics.overview,
            workers: topics.workers,
            pulse: None,
            is_polled: false,
            is_away: false,
            sender,
        }
    }

    /// True if it follows anything of the queue.
    pub(super) fn follows_jobs(&self) -> bool {
        !self.jobs.is_empty() || self.all_jobs || self.overview || self.workers
    }
}
