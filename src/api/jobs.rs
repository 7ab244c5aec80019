//! A job's story.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use bedel_jobs::lecture::view;
use bedel_queue::inspect::{self, JobView};

use super::ApiState;
use super::auth::Caller;
use super::body::Id;
use super::problem::Problem;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/api/jobs/{id}", get(show))
}

/// Visible to admins and to those who are linked to the lecture that is its subject.
async fn show(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Json<JobView>, Problem> {
    let mut connection = state.acquire().await?;
    let job = inspect::job(&mut connection, id).await?.ok_or_else(no_job)?;
    let visible = match job.subject {
        _ if caller.admin => true,
        Some(subject) => view::is_linked(&mut connection, caller.user_id, subject).await?,
        None => false,
    };
    if visible { Ok(Json(job)) } else { Err(no_job()) }
}

fn no_job() -> Problem {
    Problem::not_found("There is no such job among yours.")
}
