//! Bulk operations: one action on all jobs that match a filter.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::audit::Actor;
use bedel_jobs::bulk::{self, BulkAction, BulkError, BulkOperation, Stopped};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Admin;
use super::body::{Fields, Id};
use super::job_filter::JobFilter;
use super::jobs::JobBody;
use super::problem::Problem;
use super::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(start)).routes(routes!(status)).routes(routes!(stop))
}

/// A bulk operation to start.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
struct NewBulkBody {
    /// `retry`, `cancel`, `reprioritise` or `delete`.
    #[schema(example = "retry")]
    action: String,
    /// The conditions of `GET /api/jobs`; at least one.
    #[schema(value_type = Object, example = json!({"state": "discarded", "error_class": "network"}))]
    filter: Value,
    /// For `reprioritise`: the new priority, 1 (first) to 4 (last).
    #[schema(minimum = 1, maximum = 4)]
    priority: Option<i16>,
    /// Count the jobs and show a few of them; change nothing.
    preview: Option<bool>,
}

/// What a bulk operation would work on.
#[derive(Serialize, ToSchema)]
struct PreviewBody {
    /// Matching jobs, at most 10,000.
    count: i64,
    /// True if there may be more.
    more: bool,
    /// Ten of them, newest first.
    sample: Vec<JobBody>,
}

/// A bulk operation.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkOperation)]
struct BulkBody {
    id: Uuid,
    /// Its job, of the kind `bulk-jobs`.
    job_id: Uuid,
    created_at: DateTime<Utc>,
    /// Who started it; null for the command line.
    user_id: Option<Uuid>,
    /// `api`, `cli` or `ui`.
    source: String,
    /// `retry`, `cancel`, `reprioritise` or `delete`.
    action: String,
    /// The conditions as they were given.
    #[schema(value_type = Object)]
    filter: Value,
    priority: Option<i16>,
    /// Matching jobs at the start.
    total: i64,
    /// True if there may have been more.
    total_is_capped: bool,
    /// Jobs changed so far.
    changed: i64,
    /// Matching jobs so far to which the action does not apply, such as running ones for a retry.
    refused: i64,
    /// Null while it waits or works.
    ended_at: Option<DateTime<Utc>>,
    /// `done`, `stopped` or `failed`; null while it waits or works.
    outcome: Option<String>,
}

impl From<BulkOperation> for BulkBody {
    fn from(operation: BulkOperation) -> Self {
        Self {
            id: operation.id,
            job_id: operation.job_id,
            created_at: operation.created_at,
            user_id: operation.user_id,
            source: operation.source,
            action: operation.action,
            filter: operation.filter,
            priority: operation.priority,
            total: operation.total,
            total_is_capped: operation.total_is_capped,
            changed: operation.changed,
            refused: operation.refused,
            ended_at: operation.ended_at,
            outcome: operation.outcome,
        }
    }
}

/// Change all jobs that match a filter
///
/// Admins only. A job works through the matching jobs in portions, as the requests for single jobs would change
/// them. It leaves jobs enqueued after the request alone. With `preview` nothing changes.
#[utoipa::path(
    post, path = "/api/jobs/bulk", tag = "jobs", request_body = NewBulkBody,
    responses(
        (status = 202, description = "The operation", body = BulkBody),
        (status = 200, description = "With `preview`", body = PreviewBody),
        (status = 403, description = "`forbidden`: admins only"),
        (status = 409, description = "`conflict`: the filter's user has more than 1,000 lectures"),
    ),
)]
async fn start(
    State(state): State<ApiState>,
    Admin(caller): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let mut fields = Fields::read(request).await?;
    let name = fields.required_text("action").unwrap_or_default();
    let priority = fields.whole_number("priority", 1, 4);
    let is_preview = fields.flag("preview");
    let mut conditions = Fields::of(fields.object("filter"));
    let filter = JobFilter::from_body(&mut conditions);
    let action = BulkAction::new(&name, priority);
    if let Err(message) = action {
        fields.refuse::<()>("action", "choice", message);
    }
    fields.finish()?;
    conditions.finish()?;
    let mut tx = state.begin().await?;
    let selection = filter.select(&mut tx).await?;
    if is_preview {
        let preview = bulk::preview(&mut tx, &selection.filter).await?;
        let sample = preview.sample.into_iter().map(JobBody::from).collect();
        let body = PreviewBody { count: preview.count.jobs, more: preview.count.more, sample };
        return Ok(Json(body).into_response());
    }
    let action = action.map_err(Problem::bad_request)?;
    let operation = match bulk::start(&mut tx, action, &selection, Actor::api(caller.user_id)).await {
        Ok(operation) => operation,
        Err(BulkError::EmptyFilter) => {
            let mut fields = Fields::of(serde_json::Map::new());
            fields.refuse::<()>("filter", "missing", BulkError::EmptyFilter.to_string());
            return Err(fields.refused());
        }
        Err(BulkError::Database(error)) => return Err(error.into()),
    };
    tx.commit().await?;
    state.queue.wake();
    Ok((StatusCode::ACCEPTED, Json(BulkBody::from(operation))).into_response())
}

/// Show a bulk operation
///
/// Admins only.
#[utoipa::path(
    get, path = "/api/jobs/bulk/{id}", tag = "jobs", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The operation with its counts so far", body = BulkBody),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn status(State(state): State<ApiState>, _: Admin, Id(id): Id) -> Result<Json<BulkBody>, Problem> {
    let mut connection = state.acquire().await?;
    let operation = bulk::status(&mut connection, id).await?.ok_or_else(no_operation)?;
    Ok(Json(operation.into()))
}

/// Stop a bulk operation
///
/// Admins only. What it changed stays changed.
#[utoipa::path(
    post, path = "/api/jobs/bulk/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "The operation is stopped", body = BulkBody),
        (status = 403, description = "`forbidden`: admins only"),
        (status = 409, description = "`conflict`: it has ended"),
    ),
)]
async fn stop(State(state): State<ApiState>, Admin(caller): Admin, Id(id): Id) -> Result<Response, Problem> {
    let mut tx = state.begin().await?;
    match bulk::stop(&mut tx, &state.registry, id, Actor::api(caller.user_id)).await? {
        Stopped::Stopped => {}
        Stopped::NotFound => return Err(no_operation()),
        Stopped::Ended => return Err(Problem::conflict("This operation has ended.")),
    }
    let operation = bulk::status(&mut tx, id).await?.ok_or_else(no_operation)?;
    tx.commit().await?;
    state.queue.announce_cancellation();
    Ok((StatusCode::ACCEPTED, Json(BulkBody::from(operation))).into_response())
}

fn no_operation() -> Problem {
    Problem::not_found("There is no such bulk operation; old ones are deleted.")
}
