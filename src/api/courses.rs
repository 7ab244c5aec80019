//! Courses: the catalogue's, user-made ones, each user's selection, and a user's lectures and documents in a
//! course.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::course::{self, Chosen, Course, MAX_CODE_CHARS, MAX_INSTRUCTOR_CHARS, MAX_TITLE_CHARS};
use bedel_jobs::document::{self, Document};
use bedel_jobs::lecture::view::{self, LectureView};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::body::{Fields, Id};
use super::problem::Problem;
use super::state::ApiState;

/// Cost in submissions: everybody sees a new course.
pub(crate) const COURSE_COST: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(all, create))
        .routes(routes!(chosen))
        .routes(routes!(choose, drop_choice))
        .routes(routes!(lectures))
        .routes(routes!(documents))
}

/// List all courses
#[utoipa::path(
    get, path = "/api/courses", tag = "courses",
    responses((status = 200, description = "Ordered by code", body = Vec<Course>)),
)]
async fn all(State(state): State<ApiState>, _: Caller) -> Result<Json<Vec<Course>>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(course::all(&mut connection).await?))
}

/// A course that is not in the catalogue.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
struct CourseBody {
    /// Stored in capitals, with single spaces.
    #[schema(example = "CSC 173", min_length = 1, max_length = 50)]
    code: String,
    #[schema(min_length = 1, max_length = 500)]
    title: String,
    #[schema(max_length = 200)]
    instructor: Option<String>,
}

/// Create a course
///
/// For courses that are not in the catalogue. If the catalogue lists it later, a synchronisation takes it
/// over.
#[utoipa::path(
    post, path = "/api/courses", tag = "courses", request_body = CourseBody,
    responses(
        (status = 201, description = "The new course", body = Course),
        (status = 409, description = "`conflict`: another course has this code"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, COURSE_COST)?;
    let made = create_from(&state, Fields::read(request).await?).await?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Creates the course that the fields describe.
pub(crate) async fn create_from(state: &ApiState, mut fields: Fields) -> Result<Course, Problem> {
    let code = fields.required_text("code").unwrap_or_default();
    let title = fields.required_text("title").unwrap_or_default();
    let instructor = fields.text("instructor").filter(|name| !name.trim().is_empty());
    fields.fits("code", &code, MAX_CODE_CHARS);
    fields.fits("title", &title, MAX_TITLE_CHARS);
    fields.fits("instructor", instructor.as_deref().unwrap_or_default(), MAX_INSTRUCTOR_CHARS);
    fields.finish()?;
    let mut connection = state.acquire().await?;
    let made =
        course::create(&mut connection, &code, title.trim(), instructor.as_deref().map(str::trim)).await?;
    made.ok_or_else(|| Problem::conflict("A course with this code exists. Use that one."))
}

/// List your courses
#[utoipa::path(
    get, path = "/api/user/courses", tag = "courses",
    responses((status = 200, description = "Ordered by code", body = Vec<Course>)),
)]
async fn chosen(State(state): State<ApiState>, caller: Caller) -> Result<Json<Vec<Course>>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(course::chosen(&mut connection, caller.user_id).await?))
}

#[derive(Serialize, ToSchema)]
struct ChosenBody {
    /// For people.
    message: &'static str,
}

/// Add a course to your list
#[utoipa::path(
    post, path = "/api/user/courses/{course_id}", tag = "courses", params(("course_id" = Uuid, Path)),
    responses(
        (status = 201, description = "Added", body = ChosenBody),
        (status = 200, description = "It was in your list already", body = ChosenBody),
    ),
)]
pub(crate) async fn choose(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let mut tx = state.begin().await?;
    let chosen = course::choose(&mut tx, caller.user_id, id).await?;
    tx.commit().await?;
    let (status, message) = match chosen {
        Chosen::Added => (StatusCode::CREATED, "Course added"),
        Chosen::AlreadyThere => (StatusCode::OK, "Course already added"),
        Chosen::NotFound => return Err(Problem::not_found("There is no such course.")),
    };
    Ok((status, Json(ChosenBody { message })).into_response())
}

/// Remove a course from your list
#[utoipa::path(
    delete, path = "/api/user/courses/{course_id}", tag = "courses", params(("course_id" = Uuid, Path)),
    responses((status = 204, description = "Removed")),
)]
pub(crate) async fn drop_choice(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let mut connection = state.acquire().await?;
    if course::drop_choice(&mut connection, caller.user_id, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("This course is not in your list."))
    }
}

/// List your lectures of a course
#[utoipa::path(
    get, path = "/api/courses/{id}/lectures", tag = "courses", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Newest first, at most 1,000; none for an unknown course", body = Vec<LectureView>)),
)]
async fn lectures(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Vec<LectureView>>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(view::of_course(&mut connection, caller.user_id, id).await?))
}

/// List your documents of a course
#[utoipa::path(
    get, path = "/api/courses/{id}/documents", tag = "courses", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Newest first, at most 1,000; none for an unknown course", body = Vec<Document>)),
)]
async fn documents(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Vec<Document>>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(document::of_course(&mut connection, caller.user_id, id).await?))
}
