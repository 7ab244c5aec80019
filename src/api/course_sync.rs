//! Synchronises the course catalogue on an admin's request.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bedel_jobs::course_sync::CourseSync;
use bedel_queue::enqueue;
use bedel_queue::inspect::{self, JobState, JobView};
use bedel_recordings::catalogue::term::Term;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Admin;
use super::body::Fields;
use super::problem::Problem;
use super::query::QueryFields;
use super::state::ApiState;

/// Default wait for the job, in seconds.
const DEFAULT_WAIT_SECONDS: u64 = 30;

/// Longest wait, in seconds: proxies time out beyond that.
const MAX_WAIT_SECONDS: u64 = 60;

/// Poll interval for the job's row.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(sync))
}

/// The request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
struct SyncBody {
    /// Defaults to the configured terms, also if empty.
    #[schema(example = json!(["Fall 2026"]))]
    terms: Option<Vec<String>>,
    /// Count only, change nothing.
    dry_run: Option<bool>,
}

/// Counts of the synchronisation or of the dry run.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the job's result is passed on")]
struct SyncCounts {
    job_id: Uuid,
    created: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    /// Gone from the catalogue but kept, because something refers to them.
    retained: u64,
    total: u64,
    terms: Vec<String>,
    /// Too many courses would be deleted, so none was.
    deletion_skipped: bool,
}

#[derive(Serialize, ToSchema)]
struct SyncJob {
    job_id: Uuid,
}

/// Read the course catalogue
///
/// Admins only. Waits up to `wait` seconds for the job to end. If the job ends without success, the problem's
/// detail gives the reason.
#[utoipa::path(
    post, path = "/api/admin/courses/sync", tag = "courses",
    request_body(content = Option<SyncBody>, content_type = "application/json"),
    params(("wait" = Option<u64>, Query, description = "Seconds, 0 to 60; 30 by default", minimum = 0, maximum = 60)),
    responses(
        (status = 200, description = "The job ended in time: its counts", body = SyncCounts),
        (status = 202, description = "The job continues", body = SyncJob),
        (status = 403, description = "`forbidden`: admins only"),
        (status = 409, description = "`conflict`: a sync with other settings is live, or it failed in a way \
            that a retry does not fix"),
    ),
)]
async fn sync(
    State(state): State<ApiState>,
    _: Admin,
    Extension(stop): Extension<CancellationToken>,
    mut query: QueryFields,
    request: Request,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(query.number("wait", 0, MAX_WAIT_SECONDS).unwrap_or(DEFAULT_WAIT_SECONDS));
    query.finish()?;
    let mut fields = Fields::read_optional(request).await?;
    let args = CourseSync { terms: terms_of(&mut fields), dry_run: fields.flag("dry_run") };
    fields.finish()?;

    let mut tx = state.begin().await?;
    let enqueued = enqueue(&mut tx, &args.job()).await?;
    tx.commit().await?;
    if enqueued.created {
        state.queue.wake();
    } else {
        check_joinable(&state, enqueued.id, &args).await?;
    }
    match wait_for_end(&state, enqueued.id, wait, &stop).await {
        Some(job) => answer(job),
        None => Ok((StatusCode::ACCEPTED, Json(SyncJob { job_id: enqueued.id })).into_response()),
    }
}

/// The terms to read. None or an empty list means the configured terms.
fn terms_of(fields: &mut Fields) -> Option<Vec<String>> {
    let terms = fields.texts("terms");
    for term in &terms {
        if let Err(error) = term.parse::<Term>() {
            return fields.refuse("terms", "term", error.to_string());
        }
    }
    Some(terms).filter(|terms| !terms.is_empty())
}

/// 409 if the live job has other settings: its counts would not be the requested ones.
async fn check_joinable(state: &ApiState, job_id: Uuid, args: &CourseSync) -> Result<(), Problem> {
    let mut connection = state.acquire().await?;
    let Some(job) = inspect::job(&mut connection, job_id).await? else { return Ok(()) };
    if serde_json::from_value::<CourseSync>(job.args).is_ok_and(|live| live == *args) {
        return Ok(());
    }
    Err(Problem::conflict(format!(
        "A course sync with other settings is live as job {job_id}. Retry when it has ended."
    )))
}

/// The finished job. `None` if it does not finish within the wait or the server stops. The job stays
/// enqueued, so a brief database outage costs one poll.
async fn wait_for_end(
    state: &ApiState,
    job_id: Uuid,
    wait: Duration,
    stop: &CancellationToken,
) -> Option<JobView> {
    let deadline = Instant::now() + wait;
    loop {
        if let Some(job) = poll(state, job_id).await
            && !matches!(job.state, JobState::Available | JobState::Running)
        {
            return Some(job);
        }
        if Instant::now() + POLL_INTERVAL > deadline {
            return None;
        }
        tokio::select! {
            () = sleep(POLL_INTERVAL) => {}
            () = stop.cancelled() => return None,
        }
    }
}

async fn poll(state: &ApiState, job_id: Uuid) -> Option<JobView> {
    let mut connection = state.acquire().await.ok()?;
    inspect::job(&mut connection, job_id).await.ok()?
}

/// Error class of an attempt that could not read the catalogue. Retrying later may help.
const CATALOGUE_UNAVAILABLE: &str = "catalogue";

fn answer(job: JobView) -> Result<Response, Problem> {
    if job.state != JobState::Completed {
        let reason = job.reason.as_deref().unwrap_or("no reason was recorded");
        let detail = format!("The course sync ended without success: {reason}");
        let passing = job.state == JobState::Discarded
            && job.failures.last().is_some_and(|failure| failure.class == CATALOGUE_UNAVAILABLE);
        return Err(if passing { Problem::unavailable(detail) } else { Problem::conflict(detail) });
    }
    let mut body = match job.result {
        Some(Value::Object(counts)) => counts,
        _ => Map::new(),
    };
    body.insert("job_id".to_owned(), json!(job.id));
    Ok(Json(body).into_response())
}
