//! Courses: the catalogue's, those that users made, and what each user chose of them; and what a user has in one.

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

/// A new course is in everybody's list: it counts as so many submissions.
const COURSE_COST: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

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
    responses((status = 200, description = "In order of their code", body = Vec<Course>)),
)]
async fn all(State(state): State<ApiState>, _: Caller) -> Result<Json<Vec<Course>>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(course::all(&mut connection).await?))
}

/// A course that is not in the catalogue.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
struct CourseBody {
    /// Stored in capital letters, with single blanks.
    #[schema(example = "CSC 173", min_length = 1, max_length = 50)]
    code: String,
    #[schema(min_length = 1, max_length = 500)]
    title: String,
    #[schema(max_length = 200)]
    instructor: Option<String>,
}

/// Make a course
///
/// One that the catalogue does not have; a synchronisation takes it over if it does one day.
#[utoipa::path(
    post, path = "/api/courses", tag = "courses", request_body = CourseBody,
    responses(
        (status = 201, description = "The new course", body = Course),
        (status = 409, description = "`conflict`: a course has this code already"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, COURSE_COST)?;
    let mut fields = Fields::read(request).await?;
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
    let made =
        made.ok_or_else(|| Problem::conflict("A course with this code exists already: use that one."))?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// List your courses
#[utoipa::path(
    get, path = "/api/user/courses", tag = "courses",
    responses((status = 200, description = "In order of their code", body = Vec<Course>)),
)]
async fn chosen(State(state): State<ApiState>, caller: Caller) -> Result<Json<Vec<Course>>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(course::chosen(&mut connection, caller.user_id).await?))
}

#[derive(Serialize, ToSchema)]
struct ChosenBody {
    /// In words.
    message: &'static str,
}

/// Add a course to yours
#[utoipa::path(
    post, path = "/api/user/courses/{course_id}", tag = "courses", params(("course_id" = Uuid, Path)),
    responses(
        (status = 201, description = "It is yours now", body = ChosenBody),
        (status = 200, description = "It was yours already", body = ChosenBody),
    ),
)]
async fn choose(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
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

/// Take a course from yours
#[utoipa::path(
    delete, path = "/api/user/courses/{course_id}", tag = "courses", params(("course_id" = Uuid, Path)),
    responses((status = 204, description = "It is yours no more")),
)]
async fn drop_choice(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let mut connection = state.acquire().await?;
    if course::drop_choice(&mut connection, caller.user_id, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("There is no such course among yours."))
    }
}

/// List your lectures of a course
#[utoipa::path(
    get, path = "/api/courses/{id}/lectures", tag = "courses", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The newest first, a thousand at most; of a course that nobody knows there are none", body = Vec<LectureView>)),
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
    responses((status = 200, description = "The newest first, a thousand at most; of a course that nobody knows there are none", body = Vec<Document>)),
)]
async fn documents(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Vec<Document>>, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Json(document::of_course(&mut connection, caller.user_id, id).await?))
}
