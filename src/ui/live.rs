//! Live updates: one event stream per tab, one poller per process.
//!
//! A page names its topics in the stream's address. While streams are open, the poller runs less than two statements a
//! second in all and sends each stream what changed: pieces of HTML that htmx swaps, or events that make a part of the
//! page ask again. What many tabs ask for after one change is rendered once. Without streams nothing runs.

mod changes;
mod hub;
mod poller;
mod queue_state;
mod renders;
mod shared_updates;
mod streams;
mod subscriber;
pub(super) mod topic;

use std::convert::Infallible;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{Response, Sse};
use axum::routing::get;
use axum::{Extension, Router};
use futures::Stream;

use super::session::{QueueVersion, Session};
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;

pub(super) use hub::Hub;
pub(super) use shared_updates::for_all_tabs;
use topic::Topics;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/live", get(live))
}

/// Notes for [`Session`] which version of the queue a page will show at least.
pub(super) async fn note_version(
    Extension(hub): Extension<Hub>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(QueueVersion(hub.version()));
    next.run(request).await
}

async fn live(
    State(state): State<ApiState>,
    Extension(hub): Extension<Hub>,
    session: Session,
    mut query: QueryFields,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let topics: Topics = query
        .parsed(
            "topics",
            "topics",
            "this must be topics such as lectures or lecture:UUID, separated by commas",
        )
        .unwrap_or_default();
    let version: Option<u64> = query.parsed("version", "number", "this must be a whole number");
    query.finish()?;
    if topics.follows_queue() && !session.caller.admin {
        return Err(Problem::forbidden("Only operators may follow jobs."));
    }
    let slot = state.limits.open_stream(session.caller.user_id)?;
    Ok(Sse::new(hub.subscribe(session, topics, version, slot))
        .keep_alive(KeepAlive::new().interval(hub::HEARTBEAT)))
}
