//! A lecture's state changes as Server-Sent Events (WHATWG HTML, 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use bedel_jobs::lecture::view::{self, LectureState};
use futures::Stream;
use futures::stream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::body::Id;
use super::super::limits::StreamSlot;
use super::super::problem::Problem;
use super::super::state::ApiState;
use super::visible::visible_state;

/// Poll interval for the row.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// After this time without an event a comment is sent, so that proxies keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Longest stream. Clients then reconnect, with a credential that is valid at that time.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// One event of the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the event is written field by field")]
struct StateEvent {
    #[schema(example = "state")]
    event: String,
    /// The lecture's state as JSON, like the answer of `…/status`.
    data: String,
}

/// Follow a lecture
///
/// Sends the state at once and after each change, as events named `state`. The stream ends after a final
/// state, when the lecture is removed, and after an hour. Reconnecting sends the current state.
#[utoipa::path(
    get, path = "/api/lectures/{id}/events", tag = "lectures", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Events, each with the lecture's state", body = StateEvent, content_type = "text/event-stream"),
        (status = 429, description = "`rate_limited`: you have 100 open streams"),
    ),
)]
pub(super) async fn events(
    State(state): State<ApiState>,
    caller: Caller,
    Extension(stop): Extension<CancellationToken>,
    Id(id): Id,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let first = visible_state(&state, caller, id).await?;
    let slot = state.limits.open_stream(caller.user_id)?;
    let follower = Follower {
        state,
        user_id: caller.user_id,
        lecture_id: id,
        sent: None,
        next: Some(first),
        _slot: slot,
    };
    let changes = stream::unfold(follower, |mut follower| async move {
        let now = follower.next_change().await?;
        let event = Event::default().event("state").json_data(&now).expect("a state is plain data");
        Some((Ok(event), follower))
    });
    let ended = async move {
        tokio::select! { () = sleep(MAX_DURATION) => {}, () = stop.cancelled() => {} }
    };
    let changes = futures::StreamExt::take_until(changes, Box::pin(ended));
    Ok(Sse::new(changes).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// One client that follows one lecture.
struct Follower {
    state: ApiState,
    user_id: Uuid,
    lecture_id: Uuid,
    /// The state sent last.
    sent: Option<LectureState>,
    /// A state read in advance.
    next: Option<LectureState>,
    _slot: StreamSlot,
}

impl Follower {
    /// The next state that differs from the one sent last. None after a final state or a removal.
    async fn next_change(&mut self) -> Option<LectureState> {
        if self.sent.as_ref().is_some_and(LectureState::is_final) {
            return None;
        }
        loop {
            let now = match self.next.take() {
                Some(first) => first,
                None => self.poll().await?,
            };
            if self.sent.as_ref() != Some(&now) {
                self.sent = Some(now.clone());
                return Some(now);
            }
        }
    }

    /// Polls after a pause; a database outage counts as no change. None if the lecture is gone.
    async fn poll(&self) -> Option<LectureState> {
        loop {
            sleep(POLL_INTERVAL).await;
            let Ok(mut connection) = self.state.acquire().await else { continue };
            match view::state(&mut connection, self.user_id, self.lecture_id).await {
                Ok(found) => return found,
                Err(error) => tracing::debug!(%error, "a poll of a lecture failed"),
            }
        }
    }
}
