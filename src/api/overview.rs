//! The state of the queue at a glance, and its last hour and day.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use bedel_queue::{ActivityRow, COUNT_LIMIT, activity, overview};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Admin;
use super::fleet::QueueBody;
use super::problem::Problem;
use super::query::QueryFields;
use super::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(history))
}

/// The present state of the queue.
#[derive(Serialize, ToSchema)]
struct OverviewBody {
    /// By name.
    kinds: Vec<KindBody>,
    /// By name, those with a live job or once paused.
    queues: Vec<QueueBody>,
}

/// The present state of a kind of job. Each count stops at 10,000.
#[derive(Serialize, ToSchema)]
struct KindBody {
    kind: String,
    /// Waiting jobs that are due.
    due: i64,
    /// Jobs for later: scheduled, or between two attempts.
    scheduled: i64,
    running: i64,
    /// Waiting jobs with a failed or crashed attempt.
    failing: i64,
    /// True if a count reached its limit.
    at_least: bool,
    /// Seconds that the oldest due job has waited; 0 if none is due.
    oldest_seconds: f64,
}

/// Show what waits, runs and fails
///
/// Admins only.
#[utoipa::path(
    get, path = "/api/overview", tag = "operation",
    responses(
        (status = 200, description = "Each kind and each queue", body = OverviewBody),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn show(State(state): State<ApiState>, _: Admin) -> Result<Json<OverviewBody>, Problem> {
    let mut connection = state.acquire().await?;
    let view = overview(&mut connection, &state.registry.kinds()).await?;
    let kinds = view.kinds.into_iter().map(|kind| {
        let counts = [kind.due, kind.scheduled, kind.running, kind.failing];
        KindBody {
            at_least: counts.iter().any(|count| *count >= COUNT_LIMIT),
            due: kind.due,
            scheduled: kind.scheduled,
            running: kind.running,
            failing: kind.failing,
            oldest_seconds: kind.oldest_seconds,
            kind: kind.kind,
        }
    });
    Ok(Json(OverviewBody {
        kinds: kinds.collect(),
        queues: view.queues.into_iter().map(QueueBody::from).collect(),
    }))
}

/// Jobs that ended and attempts that failed over time.
#[derive(Serialize, ToSchema)]
struct ActivityBody {
    from: DateTime<Utc>,
    /// End of the counted time, one to three minutes ago.
    until: DateTime<Utc>,
    step_seconds: u64,
    /// By time, kind and queue. Steps without an event are left out.
    steps: Vec<StepBody>,
}

/// One kind of job in one step of time.
#[derive(Serialize, ToSchema)]
struct StepBody {
    /// Start of the step.
    at: DateTime<Utc>,
    kind: String,
    queue: String,
    completed: i64,
    discarded: i64,
    cancelled: i64,
    /// Failed attempts, including those of discarded jobs.
    failed: i64,
}

impl From<ActivityRow> for StepBody {
    fn from(row: ActivityRow) -> Self {
        let ActivityRow { at, kind, queue, completed, discarded, cancelled, failed } = row;
        Self { at, kind, queue, completed, discarded, cancelled, failed }
    }
}

/// Show the last minutes, hours or days
///
/// Admins only. Two days are kept. A scheduler counts each minute about half a minute after its end.
#[utoipa::path(
    get, path = "/api/activity", tag = "operation",
    params(
        ("minutes" = Option<u16>, Query, description = "Length of time; 60 by default", minimum = 1, maximum = 2880),
        ("step" = Option<u16>, Query, description = "Length of a step in minutes; 1 by default", minimum = 1,
            maximum = 1440),
    ),
    responses(
        (status = 200, description = "Counts per step, kind and queue", body = ActivityBody),
        (status = 403, description = "`forbidden`: admins only"),
    ),
)]
async fn history(
    State(state): State<ApiState>,
    _: Admin,
    mut query: QueryFields,
) -> Result<Json<ActivityBody>, Problem> {
    let minutes = query.number("minutes", 1_u64, 2880).unwrap_or(60);
    let step = query.number("step", 1_u64, 1440).unwrap_or(1);
    query.finish()?;
    let [span, step] = [minutes, step].map(|minutes| Duration::from_secs(minutes * 60));
    let mut connection = state.acquire().await?;
    let found = activity(&mut connection, span, step).await?;
    Ok(Json(ActivityBody {
        from: found.from,
        until: found.until,
        step_seconds: found.step_seconds,
        steps: found.rows.into_iter().map(StepBody::from).collect(),
    }))
}
