//! Lookup of lectures that a caller may see.

use bedel_jobs::lecture::view::{self, LectureState, LectureView};
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::problem::Problem;
use super::super::state::ApiState;

pub(crate) async fn visible(state: &ApiState, caller: Caller, id: Uuid) -> Result<LectureView, Problem> {
    let mut connection = state.acquire().await?;
    view::read(&mut connection, caller.user_id, id).await?.ok_or_else(no_lecture)
}

pub(crate) async fn visible_state(
    state: &ApiState,
    caller: Caller,
    id: Uuid,
) -> Result<LectureState, Problem> {
    let mut connection = state.acquire().await?;
    view::state(&mut connection, caller.user_id, id).await?.ok_or_else(no_lecture)
}

pub(crate) fn no_lecture() -> Problem {
    Problem::not_found("You have no such lecture.")
}
