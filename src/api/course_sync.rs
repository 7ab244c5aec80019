//! The course catalogue, fetched on an admin's word.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bedel_jobs::course_sync::{self, CourseSync};
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

/// Seconds the answer waits for the job unless the caller says otherwise.
const DEFAULT_WAIT_SECONDS: u64 = 30;

/// Longest wait, in seconds: longer ones meet the time limits of proxies.
const MAX_WAIT_SECONDS: u64 = 60;

/// Pause between two looks at the job's row.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(sync))
}

/// What to read.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
struct SyncBody {
    /// Those of the configuration where it is left out or empty.
    #[schema(example = json!(["Fall 2026"]))]
    terms: Option<Vec<String>>,
    /// Count, but change nothing.
    dry_run: Option<bool>,
}

/// What the synchronisation did, or would have done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the job's result, which is handed on as it is")]
struct SyncCounts {
    job_id: Uuid,
    created: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    /// Gone from the catalogue, kept because something refers to them.
    retained: u64,
    total: u64,
    terms: Vec<String>,
    /// Too much would have gone, so nothing did.
    deletion_skipped: bool,
}

#[derive(Serialize, ToSchema)]
struct SyncJob {
    job_id: Uuid,
}

/// Read the course catalogue
///
/// For admins. Waits for the end of the job for so many seconds. A job that ends without success tells the reason.
#[utoipa::path(
    post, path = "/api/admin/courses/sync", tag = "courses",
    request_body(content = Option<SyncBody>, content_type = "application/json"),
    params(("wait" = Option<u64>, Query, description = "Seconds, 0 to 60; 30 where it is left out", minimum = 0, maximum = 60)),
    responses(
        (status = 200, description = "It ended in time: its counts", body = SyncCounts),
        (status = 202, description = "It goes on", body = SyncJob),
        (status = 403, description = "`forbidden`: this is for admins"),
        (status = 409, description = "`conflict`: one with other settings is live, or asking again mends nothing"),
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
    let enqueued = enqueue(&mut tx, &course_sync::job(&args)).await?;
    tx.commit().await?;
    if enqueued.created {
        state.queue.wake();
    } else {
        joinable(&state, enqueued.id, &args).await?;
    }
    match ended(&state, enqueued.id, wait, &stop).await {
        Some(job) => answer(job),
        None => Ok((StatusCode::ACCEPTED, Json(SyncJob { job_id: enqueued.id })).into_response()),
    }
}

/// The terms to ask for. None, or an empty list, means those of the configuration.
fn terms_of(fields: &mut Fields) -> Option<Vec<String>> {
    let terms = fields.texts("terms");
    for term in &terms {
        if let Err(error) = term.parse::<Term>() {
            return fields.refuse("terms", "term", error.to_string());
        }
    }
    Some(terms).filter(|terms| !terms.is_empty())
}

/// 409 where the live job will not do what was asked for: its counts would be taken for ours.
async fn joinable(state: &ApiState, job_id: Uuid, args: &CourseSync) -> Result<(), Problem> {
    let mut connection = state.acquire().await?;
    let Some(job) = inspect::job(&mut connection, job_id).await? else { return Ok(()) };
    if serde_json::from_value::<CourseSync>(job.args).is_ok_and(|live| live == *args) {
        return Ok(());
    }
    Err(Problem::conflict(format!(
        "A course sync with other settings is live as job {job_id}. Ask again when it has ended."
    )))
}

/// The job once it is final; `None` where it is not by the end of the wait, or where the server is about to stop. The
/// job is enqueued either way, so a database that is away for a moment only costs a look.
async fn ended(state: &ApiState, job_id: Uuid, wait: Duration, stop: &CancellationToken) -> Option<JobView> {
    let deadline = Instant::now() + wait;
    loop {
        if let Some(job) = look(state, job_id).await
            && !matches!(job.state, JobState::Available | JobState::Running)
        {
            return Some(job);
        }
        if Instant::now() + LOOK_EVERY > deadline {
            return None;
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return None,
        }
    }
}

async fn look(state: &ApiState, job_id: Uuid) -> Option<JobView> {
    let mut connection = state.acquire().await.ok()?;
    inspect::job(&mut connection, job_id).await.ok()?
}

/// The class of an attempt that could not read the catalogue: it may be there again when the caller asks again.
const CATALOGUE_AWAY: &str = "catalogue";

fn answer(job: JobView) -> Result<Response, Problem> {
    if job.state != JobState::Completed {
        let reason = job.reason.as_deref().unwrap_or("no reason was recorded");
        let detail = format!("The course sync ended without success: {reason}");
        let passing = job.state == JobState::Discarded
            && job.failures.last().is_some_and(|failure| failure.class == CATALOGUE_AWAY);
        return Err(if passing { Problem::unavailable(detail) } else { Problem::conflict(detail) });
    }
    let mut body = match job.result {
        Some(Value::Object(counts)) => counts,
        _ => Map::new(),
    };
    body.insert("job_id".to_owned(), json!(job.id));
    Ok(Json(body).into_response())
}
