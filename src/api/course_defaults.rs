//! Defaults of a course: how lectures that are submitted to it later are transcribed.

use axum::Json;
use axum::extract::{Request, State};
use bedel_jobs::options::TranscriptionOptions;
use bedel_jobs::options::course::{self, CourseDefaults};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::body::Id;
use super::option_fields;
use super::problem::Problem;
use super::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(defaults, set_defaults))
}

/// Show a course's defaults
///
/// Those for everybody, your own, and what your next submission gets. All are null for an unknown course.
#[utoipa::path(
    get, path = "/api/courses/{id}/defaults", tag = "courses", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The defaults", body = CourseDefaults)),
)]
async fn defaults(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<CourseDefaults>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(course::read(&mut connection, id, caller.user_id).await?))
}

/// Set a course's defaults
///
/// Replaces all of them; an option that is null or left out is not set. An admin sets those for everybody, any other
/// user their own. Lectures that exist do not change.
#[utoipa::path(
    put, path = "/api/courses/{id}/defaults", tag = "courses", params(("id" = Uuid, Path)),
    request_body = Option<TranscriptionOptions>,
    responses((status = 200, description = "The new defaults", body = CourseDefaults)),
)]
async fn set_defaults(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    request: Request,
) -> Result<Json<CourseDefaults>, Problem> {
    let options = option_fields::read_body(request).await?;
    let mut tx = state.begin().await?;
    if !course::replace(&mut tx, id, caller.limited_to(), &options).await? {
        return Err(Problem::not_found("There is no such course."));
    }
    let defaults = course::read(&mut tx, id, caller.user_id).await?;
    tx.commit().await?;
    Ok(Json(defaults))
}
