//! Lectures: submit, show, follow, read artefacts, retry, cancel, remove.

pub(crate) mod artefacts;
mod events;
pub(crate) mod options;
pub(crate) mod submit;
mod upload;
pub(crate) mod visible;

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::cancel::{self, Cancelled};
use bedel_jobs::lecture::list::{self, Cursor, MAX_LIMIT};
use bedel_jobs::lecture::removal::{self, Removed};
use bedel_jobs::lecture::retry::{self, Retried};
use bedel_jobs::lecture::view::{Filter, LectureState, LectureView};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Caller;
use super::body::Id;
use super::problem::Problem;
use super::query::QueryFields;
use super::state::ApiState;
use visible::{no_lecture, visible, visible_state};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(submit::submit))
        .routes(routes!(submit::batch).layer(from_fn(super::upload::drain_refused)))
        .routes(routes!(upload::upload).layer(from_fn(super::upload::drain_refused)))
        .routes(routes!(list))
        .routes(routes!(show, remove))
        .routes(routes!(status))
        .routes(routes!(events::events))
        .routes(routes!(retry))
        .routes(routes!(options::transcribe))
        .routes(routes!(options::options))
        .routes(routes!(cancel))
        .merge(artefacts::routes())
}

/// A page of lectures.
#[derive(Serialize, ToSchema)]
struct LecturePage {
    /// Newest first. With a filter, a page may hold fewer than `limit` lectures, even none, and not be the
    /// last.
    lectures: Vec<LectureView>,
    /// For the next page; null after the last page.
    next_cursor: Option<String>,
}

/// Default page size.
const DEFAULT_LIMIT: u16 = 50;

/// List your lectures
#[utoipa::path(
    get, path = "/api/lectures", tag = "lectures",
    params(
        ("course_id" = Option<Uuid>, Query, description = "Only this course"),
        ("status" = Option<LectureStatus>, Query, description = "Only this status"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "Page size; 50 by default", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page, newest first", body = LecturePage)),
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    mut query: QueryFields,
) -> Result<Json<LecturePage>, Problem> {
    let filter = Filter {
        course_id: query.parsed("course_id", "uuid", "this must be a UUID"),
        status: query.parsed("status", "choice", "this must be pending, downloading, completed or failed"),
    };
    let after: Option<Cursor> = query.parsed("cursor", "cursor", list::InvalidCursor);
    let limit = query.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    query.finish()?;
    let mut connection = state.acquire().await?;
    let page = list::page(&mut connection, caller.user_id, filter, after, limit).await?;
    Ok(Json(LecturePage { lectures: page.lectures, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}

/// Show a lecture
#[utoipa::path(
    get, path = "/api/lectures/{id}", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The lecture with its job", body = LectureView)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<LectureView>, Problem> {
    visible(&state, caller, id).await.map(Json)
}

/// Show a lecture's state
#[utoipa::path(
    get, path = "/api/lectures/{id}/status", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Its state", body = LectureState)),
)]
async fn status(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<LectureState>, Problem> {
    visible_state(&state, caller, id).await.map(Json)
}

/// Remove a lecture
///
/// Unlinks it from you; without any user left it is deleted. An admin deletes it for everybody.
#[utoipa::path(
    delete, path = "/api/lectures/{id}", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")),
)]
pub(crate) async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let mut tx = state.begin().await?;
    let removed = if caller.admin {
        removal::delete(&mut tx, id).await?
    } else {
        removal::unlink(&mut tx, caller.user_id, id).await?
    };
    tx.commit().await?;
    match removed {
        Removed::NotFound => return Err(no_lecture()),
        Removed::Unlinked => {}
        Removed::Deleted => {
            state.queue.wake();
            state.queue.announce_cancellation();
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The job of the answer.
#[derive(Serialize, ToSchema)]
struct LectureJob {
    lecture_id: Uuid,
    job_id: Uuid,
}

/// Retry a lecture
///
/// A failed lecture resumes at the latest possible stage; a waiting job becomes due. A completed lecture is transcribed
/// again if its last new transcription failed.
#[utoipa::path(
    post, path = "/api/lectures/{id}/retry", tag = "lectures", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "The lecture's job", body = LectureJob),
        (status = 409, description = "`conflict`: the lecture is in progress or completed"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
pub(crate) async fn retry(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let mut tx = state.begin().await?;
    let retried = retry::retry(&mut tx, &state.environment.settings, caller.limited_to(), id).await?;
    tx.commit().await?;
    match retried {
        Retried::NotFound => Err(no_lecture()),
        Retried::Running => Err(Problem::conflict("This lecture is already in progress.")),
        Retried::Completed => Err(Problem::conflict("This lecture is already completed.")),
        Retried::Due(job_id) => {
            state.queue.wake();
            Ok((StatusCode::ACCEPTED, Json(LectureJob { lecture_id: id, job_id })).into_response())
        }
    }
}

/// Cancel a lecture
///
/// The lecture fails and can be retried. One that is transcribed again stays completed.
#[utoipa::path(
    post, path = "/api/lectures/{id}/cancel", tag = "lectures", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "The job is cancelled", body = LectureJob),
        (status = 409, description = "`conflict`: the lecture has no live job, or other users have it too"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let mut tx = state.begin().await?;
    let cancelled = cancel::cancel(&mut tx, &state.registry, caller.limited_to(), id).await?;
    tx.commit().await?;
    match cancelled {
        Cancelled::NotFound => Err(no_lecture()),
        Cancelled::Shared => Err(Problem::conflict(
            "Other users have this lecture too, so it is not cancelled. Remove it from your list instead.",
        )),
        Cancelled::Completed => Err(Problem::conflict("This lecture is already completed.")),
        Cancelled::Idle => Err(Problem::conflict("This lecture has no live job.")),
        Cancelled::Cancelled(job_id) => {
            // The kind's hook enqueues a clean-up.
            state.queue.wake();
            state.queue.announce_cancellation();
            Ok((StatusCode::ACCEPTED, Json(LectureJob { lecture_id: id, job_id })).into_response())
        }
    }
}
