//! Compares what was read with what a stream was sent.

use std::sync::Arc;

use axum::response::sse::Event;
use bedel_jobs::lecture::watch::{Watched, WatchedLecture};
use maud::html;
use uuid::Uuid;

use super::queue_state::QueueState;
use super::subscriber::{Shown, Subscriber};
use crate::ui::lectures::state;

/// An event without content: a part of the page asks again.
pub(super) fn signal(name: &str) -> Event {
    Event::default().event(name).data("")
}

/// The events for one stream. Remembers what they show.
pub(super) fn of_lectures(subscriber: &mut Subscriber, read: &Watched) -> Vec<Event> {
    let mut events = Vec::new();
    let user_id = subscriber.session.caller.user_id;
    subscriber.lectures.retain(|id, known| {
        let Some(now) = read.lectures.get(&(user_id, *id)) else {
            events.push(signal(&format!("lecture-{id}")));
            return false;
        };
        if known.sent.as_ref() != Some(now) {
            let mark = state::mark(&now.state);
            let has_moved = known.mark.as_ref().is_some_and(|before| *before != mark);
            events.push(fragment(now, has_moved));
            if has_moved {
                events.push(signal(&format!("lecture-{id}")));
            }
            known.mark = Some(mark);
            known.sent = Some(now.clone());
        }
        true
    });
    if subscriber.topics.list {
        let newest = read.newest.get(&user_id).copied();
        if newest != subscriber.topics.newest {
            subscriber.topics.newest = newest;
            events.push(signal("lectures"));
        }
    }
    events
}

/// The lecture's state as a piece of HTML. A new status is read out.
fn fragment(lecture: &WatchedLecture, has_moved: bool) -> Event {
    let content = html! {
        hx-partial hx-target={ "#" (state::element_id(lecture.state.lecture_id)) } hx-swap="outerHTML" {
            (state::view(&lecture.state, lecture.is_running))
        }
        @if has_moved {
            hx-partial hx-target="#announce" hx-swap="textContent" {
                (lecture.title.as_deref().unwrap_or("A lecture")) ": " (state::words(&lecture.state, lecture.is_running))
            }
        }
    };
    // One line: a line break would end the event's data.
    Event::default().data(content.into_string().replace(['\n', '\r'], " "))
}

/// The events for an operator's stream. Remembers what they show. `version`: of `now`.
pub(super) fn of_queue(subscriber: &mut Subscriber, now: &Arc<QueueState>, version: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let before = std::mem::replace(&mut subscriber.shown, Shown::Read(Arc::clone(now)));
    let is_job_new = |id: &Uuid| match &before {
        Shown::Version(shown) => *shown != Some(version),
        Shown::Read(before) => before.jobs.get(id) != now.jobs.get(id),
    };
    let (has_events, has_progress) = match &before {
        Shown::Version(shown) => (*shown != Some(version), *shown != Some(version)),
        Shown::Read(before) => (before.pulse.differs_in_events(&now.pulse), before.pulse != now.pulse),
    };
    let topics = &subscriber.topics;
    events.extend(topics.jobs.iter().filter(|id| is_job_new(id)).map(|id| signal(&format!("job-{id}"))));
    events.extend((topics.all_jobs && has_events).then(|| signal("jobs")));
    events.extend((topics.overview && has_events).then(|| signal("overview")));
    events.extend((topics.workers && has_progress).then(|| signal("workers")));
    events
}
