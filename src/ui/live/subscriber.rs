//! One open stream: what it follows and what it was sent.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::sse::Event;
use bedel_jobs::lecture::watch::WatchedLecture;
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use super::queue_state::QueueState;
use super::topic::Topics;
use crate::ui::session::Session;

/// A lecture as the stream knows it.
#[derive(Debug, Clone)]
pub(super) struct KnownLecture {
    /// What the page shows: see `lectures::state::mark`.
    pub(super) mark: Option<String>,
    /// What was sent last.
    pub(super) sent: Option<WatchedLecture>,
}

/// What a page shows of the queue.
#[derive(Debug)]
pub(super) enum Shown {
    /// What this version was, if the page says one.
    Version(Option<u64>),
    /// What a round read.
    Read(Arc<QueueState>),
}

/// One open stream.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) session: Session,
    /// A removed lecture leaves the map.
    pub(super) lectures: HashMap<Uuid, KnownLecture>,
    /// All else that it follows.
    pub(super) topics: Topics,
    /// What the page shows: the version of the queue when it was made, then what was read in the last round.
    pub(super) shown: Shown,
    /// False until a round reads what it follows.
    pub(super) is_polled: bool,
    /// True while the client knows that the database is away.
    pub(super) is_away: bool,
    pub(super) sender: Sender<Event>,
}

impl Subscriber {
    /// `version`: of the queue, when the page was made.
    pub(super) fn new(
        session: Session,
        mut topics: Topics,
        version: Option<u64>,
        sender: Sender<Event>,
    ) -> Self {
        let lectures = std::mem::take(&mut topics.lectures).into_iter();
        Self {
            session,
            lectures: lectures.map(|(id, mark)| (id, KnownLecture { mark, sent: None })).collect(),
            topics,
            shown: Shown::Version(version),
            is_polled: false,
            is_away: false,
            sender,
        }
    }
}
