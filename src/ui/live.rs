//! Live updates: one event stream per tab, one poller per process.
//!
//! A page names its topics in the stream's address. While streams are open, the poller runs at most two statements a
//! second in all and sends each stream what changed: pieces of HTML that htmx swaps, or events that make a part of the
//! page ask again. Without streams it runs nothing.

mod changes;
mod hub;
mod poller;
mod streams;
mod subscriber;
pub(super) mod topic;

use std::convert::Infallible;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use axum::{Extension, Router};
use futures::Stream;

use super::session::Session;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;

pub(super) use hub::Hub;
use topic::Topics;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/live", get(live))
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
    query.finish()?;
    if topics.needs_admin() && !session.caller.admin {
        return Err(Problem::forbidden("Only operators may follow jobs."));
    }
    let slot = state.limits.open_stream(session.caller.user_id)?;
    Ok(Sse::new(hub.subscribe(session, topics, slot)).keep_alive(KeepAlive::new().interval(hub::HEARTBEAT)))
}
