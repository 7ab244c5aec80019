//! What happens to a lecture, as it happens: Server-Sent Events (WHATWG HTML, 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::view::{self, LectureState};
use futures::Stream;
use futures::stream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::body::Id;
use super::super::limits::Following;
use super::super::problem::Problem;
use super::super::state::ApiState;
use super::visible::visible_state;

/// Between two looks at the row.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A comment is sent after so long without an event, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Longest stream. Whoever still wants to know reconnects, with a credential that is good then.
const AT_MOST: Duration = Duration::from_secs(3600);

/// One event of the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an event, which is written field by field")]
struct StateEvent {
    #[schema(example = "state")]
    event: String,
    /// A lecture's state as JSON, as the address of its status answers it.
    data: String,
}

/// Follow a lecture
///
/// The state at once, and again at each change, as events named `state`. The stream ends after a final state, when the lecture
/// is removed, and after an hour; whoever reconnects gets the current state.
#[utoipa::path(
    get, path = "/api/lectures/{id}/events", tag = "lectures", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Events, each with the lecture's state", body = StateEvent, content_type = "text/event-stream"),
        (status = 429, description = "`rate_limited`: you follow twenty already"),
    ),
)]
pub(super) async fn events(
    State(state): State<ApiState>,
    caller: Caller,
    Extension(stop): Extension<CancellationToken>,
    Id(id): Id,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let first = visible_state(&state, caller, id).await?;
    let following = state.limits.follow(caller.user_id)?;
    let watch = Watch {
        state,
        user_id: caller.user_id,
        lecture_id: id,
        told: None,
        next: Some(first),
        _following: following,
    };
    let changes = stream::unfold(watch, |mut watch| async move {
        let now = watch.next_change().await?;
        let event = Event::default().event("state").json_data(&now).expect("a state is plain data");
        Some((Ok(event), watch))
    });
    let ended = async move {
        tokio::select! { () = sleep(AT_MOST) => {}, () = stop.cancelled() => {} }
    };
    let changes = futures::StreamExt::take_until(changes, Box::pin(ended));
    Ok(Sse::new(changes).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// One client's look at one lecture.
struct Watch {
    state: ApiState,
    user_id: Uuid,
    lecture_id: Uuid,
    /// What the client knows.
    told: Option<LectureState>,
    /// What was read already.
    next: Option<LectureState>,
    _following: Following,
}

impl Watch {
    /// The next state that differs from the one told last. None once there will be none.
    async fn next_change(&mut self) -> Option<LectureState> {
        if self.told.as_ref().is_some_and(|told| is_final(told.status)) {
            return None;
        }
        loop {
            let now = match self.next.take() {
                Some(first) => first,
                None => self.look().await?,
            };
            if self.told.as_ref() != Some(&now) {
                self.told = Some(now.clone());
                return Some(now);
            }
        }
    }

    /// A look after a pause; while the database is away there is nothing new. None where the lecture is gone.
    async fn look(&self) -> Option<LectureState> {
        loop {
            sleep(LOOK_EVERY).await;
            let Ok(mut connection) = self.state.acquire().await else { continue };
            match view::state(&mut connection, self.user_id, self.lecture_id).await {
                Ok(found) => return found,
                Err(error) => tracing::debug!(%error, "a look at a lecture failed"),
            }
        }
    }
}

fn is_final(status: LectureStatus) -> bool {
    matches!(status, LectureStatus::Completed | LectureStatus::Failed)
}
