//! Jobs: those of a user's lectures, and all of them for admins.

mod body;

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::audit::Actor;
use bedel_jobs::lecture::view;
use bedel_jobs::operations;
use bedel_jobs::registry::{may_have_key, new_job};
use bedel_queue::EnqueueError;
use bedel_queue::inspect::{self, Filter};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Admin, Caller};
use super::body::{Fields, Id};
use super::job_filter::JobFilter;
use super::operator_actions;
use super::problem::Problem;
use super::query::QueryFields;
use super::state::ApiState;

pub(super) use self::body::JobBody;
use self::body::JobStateName;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(retry))
        .routes(routes!(cancel))
}

#[derive(Serialize, ToSchema)]
struct JobPage {
    /// Newest first; finished jobs ordered by their end.
    jobs: Vec<JobBody>,
    /// For the next page. Null after the last page, or if the 10,000 scanned jobs hold no more.
    next_cursor: Option<Uuid>,
}

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// List jobs
///
/// Jobs of one of your lectures; admins may list all. Each page scans at most 10,000 jobs.
#[utoipa::path(
    get, path = "/api/jobs", tag = "jobs",
    params(
        ("kind" = Option<String>, Query, description = "Only this kind"),
        ("state" = Option<JobStateName>, Query, description = "Only this state"),
        ("queue" = Option<String>, Query, description = "Only this queue"),
        ("error_class" = Option<String>, Query, description = "Only jobs whose last failed attempt has this class; \
            sorted by creation"),
        ("worker" = Option<String>, Query, description = "Only jobs whose last attempt ran on the worker of this name; \
            for admins"),
        ("host" = Option<String>, Query, description = "Only jobs that depend on this host"),
        ("lecture_id" = Option<Uuid>, Query, description = "Only this lecture; required for users who are not admins"),
        ("user_id" = Option<Uuid>, Query, description = "Only this user's lectures, at most 1,000; for admins"),
        ("from" = Option<DateTime<Utc>>, Query, description = "Only jobs created then or later; with a final state, \
            ended then or later"),
        ("until" = Option<DateTime<Utc>>, Query, description = "Only jobs created before; with a final state, ended \
            before"),
        ("cursor" = Option<Uuid>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "Page size; 50 by default", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = JobPage),
        (status = 403, description = "`forbidden`: without `lecture_id`, admins only"),
        (status = 404, description = "`not_found`: you have no such lecture"),
    ),
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    mut query: QueryFields,
) -> Result<Json<JobPage>, Problem> {
    let filter = JobFilter::from_query(&mut query);
    let after = query.parsed("cursor", "cursor", "this must be `next_cursor` of the page before");
    let limit = query.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    query.finish()?;
    let mut connection = state.acquire().await?;
    if !caller.admin {
        let lecture = filter.filter.subject.ok_or_else(|| {
            Problem::forbidden("Set lecture_id to one of your lectures; only admins list all jobs.")
        })?;
        if !view::is_linked(&mut connection, caller.user_id, lecture).await? {
            return Err(Problem::not_found("You have no such lecture."));
        }
    }
    // Who works where is for operators.
    let filter = if caller.admin {
        filter.resolve(&mut connection).await?
    } else {
        Filter { worker: None, ..filter.filter }
    };
    let filter = Filter { after, limit, ..filter };
    let jobs = inspect::list(&mut connection, &filter).await?;
    let full = i64::try_from(jobs.len()) == Ok(filter.limit);
    let next_cursor = jobs.last().filter(|_| full).map(|job| job.id);
    let shown = |job| if caller.admin { JobBody::from(job) } else { JobBody::from(job).for_people() };
    Ok(Json(JobPage { jobs: jobs.into_iter().map(shown).collect(), next_cursor }))
}

/// A job to enqueue.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
struct NewJobBody {
    #[schema(example = "cleanup-orphans")]
    kind: String,
    /// Arguments of the kind; defaults to an empty object.
    #[schema(value_type = Option<Object>, example = json!({"dry_run": true}))]
    args: Option<Value>,
    /// Earliest start; defaults to now.
    run_at: Option<DateTime<Utc>>,
    /// 1 (first) to 4 (last); defaults to 2.
    #[schema(minimum = 1, maximum = 4)]
    priority: Option<i16>,
    /// At most one live job has this key. Not allowed for `course-sync` and lecture stages, which have their
    /// own keys.
    unique_key: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct EnqueuedBody {
    job_id: Uuid,
    /// False if a live job with the same unique key existed.
    created: bool,
}

/// Longest unique key, in characters.
const MAX_KEY_CHARS: usize = 200;

/// Longest delay. Later times are cut to ten years.
const LONGEST_DELAY: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Enqueue a job of any kind
///
/// Admins only.
#[utoipa::path(
    post, path = "/api/jobs", tag = "jobs", request_body = NewJobBody,
    responses(
        (status = 201, description = "A new job", body = EnqueuedBody),
        (status = 200, description = "A live job that has the same unique key", body = EnqueuedBody),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn create(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let mut fields = Fields::read(request).await?;
    let kind = fields.required_text("kind").unwrap_or_default();
    let args = fields.object("args");
    let run_at = fields.time("run_at");
    let priority = fields.whole_number("priority", 1, 4);
    let unique_key = fields.text("unique_key").filter(|key| !key.is_empty());
    fields.fits("unique_key", unique_key.as_deref().unwrap_or_default(), MAX_KEY_CHARS);
    let mut job = match new_job(&state.registry, &kind, Value::Object(args)) {
        Ok(job) => job,
        Err(error) => {
            let field = if matches!(error, EnqueueError::Args { .. }) { "args" } else { "kind" };
            fields.refuse::<()>(field, "unknown", error.to_string());
            return Err(fields.refused());
        }
    };
    if unique_key.as_deref().is_some_and(|key| !may_have_key(&kind, key)) {
        fields.refuse::<()>(
            "unique_key",
            "taken",
            "this key is reserved, or this kind sets its own: leave it out",
        );
    }
    fields.finish()?;
    if let Some(priority) = priority {
        job = job.priority(priority);
    }
    if let Some(key) = unique_key {
        job = job.unique_key(key);
    }
    let mut tx = state.begin().await?;
    if let Some(run_at) = run_at {
        job = job.delay(until(&mut tx, run_at).await?);
    }
    let enqueued = operations::enqueue_job(&mut tx, &kind, &job, Actor::api(caller.user_id)).await?;
    tx.commit().await?;
    state.queue.wake();
    let status = if enqueued.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(EnqueuedBody { job_id: enqueued.id, created: enqueued.created })).into_response())
}

/// Time from now, by the database's clock, which decides when the job is due.
async fn until(tx: &mut PgConnection, time: DateTime<Utc>) -> Result<Duration, sqlx::Error> {
    let seconds: f64 = sqlx::query_scalar(
        "-- jobs::until\nSELECT least(greatest(extract(epoch FROM $1 - now()), 0), $2)::float8",
    )
    .bind(time)
    .bind(LONGEST_DELAY.as_secs_f64())
    .fetch_one(tx)
    .await?;
    Ok(Duration::from_secs_f64(seconds))
}

/// Show a job
///
/// For users linked to its lecture, and for admins.
#[utoipa::path(
    get, path = "/api/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The job with its failed attempts", body = JobBody)),
)]
async fn show(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Json<JobBody>, Problem> {
    let mut connection = state.acquire().await?;
    let job = inspect::job(&mut connection, id).await?.ok_or_else(no_job)?;
    let visible = match job.subject {
        _ if caller.admin => true,
        Some(subject) => view::is_linked(&mut connection, caller.user_id, subject).await?,
        None => false,
    };
    match JobBody::from(job) {
        _ if !visible => Err(no_job()),
        job if caller.admin => Ok(Json(job)),
        job => Ok(Json(job.for_people())),
    }
}

/// The job of the answer.
#[derive(Serialize, ToSchema)]
struct JobId {
    job_id: Uuid,
}

/// Retry a job
///
/// Admins only. A waiting job becomes due; a discarded or cancelled one starts again. A lecture's stage
/// resumes the lecture at the latest possible stage, so the answer may name another job.
#[utoipa::path(
    post, path = "/api/jobs/{id}/retry", tag = "jobs", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "The job is due", body = JobId),
        (status = 403, description = "`forbidden`: admins only"),
        (status = 409, description = "`conflict`: the job is running or completed, or another one does its work"),
    ),
)]
async fn retry(State(state): State<ApiState>, Admin(caller): Admin, Id(id): Id) -> Result<Response, Problem> {
    let due = operator_actions::retry_job(&state, id, Actor::api(caller.user_id)).await?;
    let job_id = due.ok_or_else(no_job)?;
    Ok((StatusCode::ACCEPTED, Json(JobId { job_id })).into_response())
}

/// Cancel a job
///
/// Admins only. A running job stops within about a second, and its lecture fails.
#[utoipa::path(
    post, path = "/api/jobs/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "The job is cancelled", body = JobId),
        (status = 403, description = "`forbidden`: admins only"),
        (status = 409, description = "`conflict`: the job has ended"),
    ),
)]
async fn cancel(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    Id(id): Id,
) -> Result<Response, Problem> {
    operator_actions::cancel_job(&state, id, Actor::api(caller.user_id)).await?.ok_or_else(no_job)?;
    Ok((StatusCode::ACCEPTED, Json(JobId { job_id: id })).into_response())
}

fn no_job() -> Problem {
    Problem::not_found("There is no such job, or its lecture is not yours.")
}
