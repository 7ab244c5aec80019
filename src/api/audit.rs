//! The record of operators' actions.

use axum::Json;
use axum::extract::State;
use bedel_jobs::audit::{self, AuditEntry};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Admin;
use super::problem::Problem;
use super::query::QueryFields;
use super::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// An action of an operator.
#[derive(Serialize, ToSchema)]
struct AuditBody {
    id: i64,
    at: DateTime<Utc>,
    /// Who; null for the command line.
    user_id: Option<Uuid>,
    /// `api`, `cli` or `ui`.
    source: String,
    /// `retry-job`, `cancel-job`, `enqueue-job`, `pause-queue`, `resume-queue`, `run-schedule`, `start-bulk`,
    /// `stop-bulk`, `end-bulk`, `create-webhook`, `change-webhook`, `rotate-webhook`, `remove-webhook`, `test-webhook`
    /// or `redeliver-webhook`.
    action: String,
    /// Id of a job, a bulk operation or a webhook, or name of a queue.
    target: Option<String>,
    /// Number of jobs changed.
    count: i64,
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<AuditEntry> for AuditBody {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, user_id, source, action, target, count, detail } = entry;
        Self { id, at, user_id, source, action, target, count, detail }
    }
}

#[derive(Serialize, ToSchema)]
struct AuditPage {
    /// Newest first.
    entries: Vec<AuditBody>,
    /// For the next page; null after the last page.
    next_cursor: Option<i64>,
}

/// List operators' actions
///
/// Admins only. Kept for 400 days.
#[utoipa::path(
    get, path = "/api/audit", tag = "operation",
    params(
        ("cursor" = Option<i64>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "Page size; 50 by default", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = AuditPage),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn list(
    State(state): State<ApiState>,
    _: Admin,
    mut query: QueryFields,
) -> Result<Json<AuditPage>, Problem> {
    let before = query.parsed("cursor", "cursor", "this must be `next_cursor` of the page before");
    let limit = query.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    query.finish()?;
    let mut connection = state.acquire().await?;
    let entries = audit::list(&mut connection, before, limit).await?;
    let full = i64::try_from(entries.len()) == Ok(limit);
    let next_cursor = entries.last().filter(|_| full).map(|entry| entry.id);
    Ok(Json(AuditPage { entries: entries.into_iter().map(AuditBody::from).collect(), next_cursor }))
}
