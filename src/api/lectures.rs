//! A lecture: hand it in, look at it, follow it, read what was made of it, try it again, stop it, remove it.

mod artefacts;
mod events;
mod submit;
mod upload;
mod visible;

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::cancel::{self, Cancelled};
use bedel_jobs::lecture::list::{self, Cursor, Filter, MAX_LIMIT};
use bedel_jobs::lecture::removal::{self, Removed};
use bedel_jobs::lecture::retry::{self, Retried};
use bedel_jobs::lecture::view::{LectureState, LectureView};
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
        .routes(routes!(cancel))
        .merge(artefacts::routes())
}

/// A page of lectures.
#[derive(Serialize, ToSchema)]
struct LecturePage {
    /// The newest first. With a filter a page may hold fewer than `limit`, even none, and not be the last.
    lectures: Vec<LectureView>,
    /// For the next page; null after the last.
    next_cursor: Option<String>,
}

/// Lectures of a page where none is asked for.
const DEFAULT_LIMIT: u16 = 50;

/// List your lectures
#[utoipa::path(
    get, path = "/api/lectures", tag = "lectures",
    params(
        ("course_id" = Option<Uuid>, Query, description = "Only this course's"),
        ("status" = Option<LectureStatus>, Query, description = "Only those in this state"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "At most so many; 50 where it is left out", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page, the newest first", body = LecturePage)),
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
    let after: Option<Cursor> = query.parsed("cursor", "cursor", list::NoCursor);
    let limit = query.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    query.finish()?;
    let mut connection = state.acquire().await?;
    let page = list::page(&mut connection, caller.user_id, filter, after, limit).await?;
    Ok(Json(LecturePage { lectures: page.lectures, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}

/// Look at a lecture
#[utoipa::path(
    get, path = "/api/lectures/{id}", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The lecture and the work on it", body = LectureView)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<LectureView>, Problem> {
    visible(&state, caller, id).await.map(Json)
}

/// Look at a lecture's state alone
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
/// From your own; with its last user it goes altogether. An admin removes it for everybody.
#[utoipa::path(
    delete, path = "/api/lectures/{id}", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is gone")),
)]
async fn remove(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
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

/// The job that the answer is about.
#[derive(Serialize, ToSchema)]
struct LectureJob {
    lecture_id: Uuid,
    job_id: Uuid,
}

/// Try a lecture again
///
/// One that failed begins again at the latest stage it can; a waiting job becomes due.
#[utoipa::path(
    post, path = "/api/lectures/{id}/retry", tag = "lectures", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "This job works for it", body = LectureJob),
        (status = 409, description = "`conflict`: it is being worked on, or completed"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn retry(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let mut tx = state.begin().await?;
    let limited_to = (!caller.admin).then_some(caller.user_id);
    let retried = retry::retry(&mut tx, &state.environment.settings, limited_to, id).await?;
    tx.commit().await?;
    match retried {
        Retried::NotFound => Err(no_lecture()),
        Retried::Running => Err(Problem::conflict("This lecture is already being worked on.")),
        Retried::Completed => Err(Problem::conflict("This lecture is already completed.")),
        Retried::Due(job_id) => {
            state.queue.wake();
            Ok((StatusCode::ACCEPTED, Json(LectureJob { lecture_id: id, job_id })).into_response())
        }
    }
}

/// Stop the work for a lecture
///
/// It has failed then, and can be tried again.
#[utoipa::path(
    post, path = "/api/lectures/{id}/cancel", tag = "lectures", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "This job ends", body = LectureJob),
        (status = 409, description = "`conflict`: nothing works for it, or it is others' too"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn cancel(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let mut tx = state.begin().await?;
    let limited_to = (!caller.admin).then_some(caller.user_id);
    let cancelled = cancel::cancel(&mut tx, &state.registry, limited_to, id).await?;
    tx.commit().await?;
    match cancelled {
        Cancelled::NotFound => Err(no_lecture()),
        Cancelled::Shared => Err(Problem::conflict(
            "Others want this lecture too, so it is not stopped. Remove it from your own if you do not want it.",
        )),
        Cancelled::Completed => Err(Problem::conflict("This lecture is already completed.")),
        Cancelled::Idle => Err(Problem::conflict("Nothing works for this lecture at the moment.")),
        Cancelled::Cancelled(job_id) => {
            // Its hook enqueues a clean-up.
            state.queue.wake();
            state.queue.announce_cancellation();
            Ok((StatusCode::ACCEPTED, Json(LectureJob { lecture_id: id, job_id })).into_response())
        }
    }
}
