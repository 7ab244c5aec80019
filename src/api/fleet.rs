//! For operators: queues, hosts that are down, workers and schedules.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bedel_jobs::audit::Actor;
use bedel_jobs::registry::known_queues;
use bedel_queue::{BreakerView, COUNT_LIMIT, QueueView, ScheduleView, WorkerView};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Admin;
use super::operator_actions;
use super::problem::Problem;
use super::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(queues))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(breakers))
        .routes(routes!(workers))
        .routes(routes!(schedules))
        .routes(routes!(run))
}

/// A queue of jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueBody {
    name: String,
    paused: bool,
    paused_at: Option<DateTime<Utc>>,
    /// Waiting jobs, including those scheduled for later.
    available: i64,
    running: i64,
    /// True if a count reached its limit of 10,000.
    at_least: bool,
    /// Earliest due time of a waiting job.
    oldest_run_at: Option<DateTime<Utc>>,
}

impl From<QueueView> for QueueBody {
    fn from(view: QueueView) -> Self {
        Self {
            name: view.name,
            paused: view.paused_at.is_some(),
            paused_at: view.paused_at,
            available: view.available,
            running: view.running,
            at_least: view.available >= COUNT_LIMIT || view.running >= COUNT_LIMIT,
            oldest_run_at: view.oldest_run_at,
        }
    }
}

/// List the queues
///
/// Admins only.
#[utoipa::path(
    get, path = "/api/queues", tag = "operation",
    responses(
        (status = 200, description = "By name", body = Vec<QueueBody>),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn queues(State(state): State<ApiState>, _: Admin) -> Result<Json<Vec<QueueBody>>, Problem> {
    let mut connection = state.acquire().await?;
    let views = known_queues(&mut connection, &state.registry).await?;
    Ok(Json(views.into_iter().map(QueueBody::from).collect()))
}

/// Pause a queue
///
/// Admins only. Workers claim no more jobs of it. Running jobs continue, new jobs wait.
#[utoipa::path(
    post, path = "/api/queues/{queue}/pause", tag = "operation", params(("queue" = String, Path)),
    responses(
        (status = 200, description = "The queue", body = QueueBody),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn pause(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    Name(queue): Name,
) -> Result<Json<QueueBody>, Problem> {
    let view = operator_actions::set_paused(&state, &queue, true, Actor::api(caller.user_id)).await?;
    view.map(|view| Json(view.into())).ok_or_else(no_queue)
}

/// Resume a queue
///
/// Admins only.
#[utoipa::path(
    post, path = "/api/queues/{queue}/resume", tag = "operation", params(("queue" = String, Path)),
    responses(
        (status = 200, description = "The queue", body = QueueBody),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn resume(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    Name(queue): Name,
) -> Result<Json<QueueBody>, Problem> {
    let view = operator_actions::set_paused(&state, &queue, false, Actor::api(caller.user_id)).await?;
    view.map(|view| Json(view.into())).ok_or_else(no_queue)
}

fn no_queue() -> Problem {
    Problem::not_found("There is no such queue; GET /api/queues lists them.")
}

/// A host or a receiver of webhooks with failures.
#[derive(Serialize, ToSchema)]
struct BreakerBody {
    /// What jobs depend on: a host, the receiver of a webhook (`webhook:ID`), or that of a user's callbacks
    /// (`callbacks:USER:HOST:PORT`).
    group: String,
    /// Since when its jobs wait. Null while failures are only counted.
    opened_at: Option<DateTime<Utc>>,
    /// Consecutive failures before its jobs began to wait.
    failures: i32,
    failed_at: DateTime<Utc>,
    /// Time of the next probe. In the past while a probe runs, or if no job is left to probe with.
    probe_at: Option<DateTime<Utc>>,
    /// Failed probes.
    probes: i32,
    /// Class of the latest failure.
    class: String,
    /// Message of the latest failure.
    message: String,
}

impl From<BreakerView> for BreakerBody {
    fn from(view: BreakerView) -> Self {
        let BreakerView { group_key, opened_at, failures, failed_at, probe_at, probes, class, message } =
            view;
        Self { group: group_key, opened_at, failures, failed_at, probe_at, probes, class, message }
    }
}

/// List failing hosts
///
/// Admins only. Also receivers of webhooks. While one is down its jobs wait. One job at a time probes it; all continue
/// once it answers.
#[utoipa::path(
    get, path = "/api/breakers", tag = "operation",
    responses(
        (status = 200, description = "Hosts that are down first, the longest first; then those with counted \
            failures; at most 1,000",
            body = Vec<BreakerBody>),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn breakers(State(state): State<ApiState>, _: Admin) -> Result<Json<Vec<BreakerBody>>, Problem> {
    let mut connection = state.acquire().await?;
    let views = bedel_queue::breakers(&mut connection).await?;
    Ok(Json(views.into_iter().map(BreakerBody::from).collect()))
}

/// A worker process.
#[derive(Serialize, ToSchema)]
struct WorkerBody {
    id: Uuid,
    /// Host name and process id.
    name: String,
    started_at: DateTime<Utc>,
    /// Seconds since its last heartbeat.
    silent_seconds: f64,
    /// Number of running jobs.
    running: i64,
}

impl From<WorkerView> for WorkerBody {
    fn from(view: WorkerView) -> Self {
        let WorkerView { id, name, started_at, silent_seconds, running, .. } = view;
        Self { id, name, started_at, silent_seconds, running }
    }
}

/// List the workers
///
/// Admins only.
#[utoipa::path(
    get, path = "/api/workers", tag = "operation",
    responses(
        (status = 200, description = "Live workers, and dead ones not yet detected", body = Vec<WorkerBody>),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn workers(State(state): State<ApiState>, _: Admin) -> Result<Json<Vec<WorkerBody>>, Problem> {
    let mut connection = state.acquire().await?;
    let views = bedel_queue::workers(&mut connection).await?;
    Ok(Json(views.into_iter().map(WorkerBody::from).collect()))
}

/// A cron job.
#[derive(Serialize, ToSchema)]
struct ScheduleBody {
    name: String,
    /// Five fields, UTC.
    cron: String,
    last_tick: DateTime<Utc>,
    /// Job of the latest tick that enqueued one.
    last_job: Option<Uuid>,
    /// Ticks skipped because the previous run was still live.
    skipped: i64,
    last_skipped: Option<DateTime<Utc>>,
}

impl From<ScheduleView> for ScheduleBody {
    fn from(view: ScheduleView) -> Self {
        let ScheduleView { name, cron, last_tick, last_job, skipped, last_skipped, .. } = view;
        Self { name, cron, last_tick, last_job, skipped, last_skipped }
    }
}

/// List the schedules
///
/// Admins only.
#[utoipa::path(
    get, path = "/api/schedules", tag = "operation",
    responses(
        (status = 200, description = "Registered schedules, by name", body = Vec<ScheduleBody>),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn schedules(State(state): State<ApiState>, _: Admin) -> Result<Json<Vec<ScheduleBody>>, Problem> {
    let mut connection = state.acquire().await?;
    let views = bedel_queue::schedules(&mut connection).await?;
    Ok(Json(views.into_iter().map(ScheduleBody::from).collect()))
}

#[derive(Serialize, ToSchema)]
struct RunBody {
    job_id: Uuid,
    /// False if a live job of the same kind existed.
    created: bool,
}

/// Run a schedule's job now
///
/// Admins only. The schedule itself does not change.
#[utoipa::path(
    post, path = "/api/schedules/{name}/run", tag = "operation", params(("name" = String, Path)),
    responses(
        (status = 202, description = "The job", body = RunBody),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn run(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    Name(name): Name,
) -> Result<Response, Problem> {
    let enqueued = operator_actions::run_schedule(&state, &name, Actor::api(caller.user_id)).await?;
    let enqueued = enqueued
        .ok_or_else(|| Problem::not_found("There is no such schedule; GET /api/schedules lists them."))?;
    Ok((StatusCode::ACCEPTED, Json(RunBody { job_id: enqueued.id, created: enqueued.created }))
        .into_response())
}

/// A name in a path. An unreadable name is 404.
struct Name(String);

impl FromRequestParts<ApiState> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(Problem::not_found("There is nothing with this name.")),
        }
    }
}
