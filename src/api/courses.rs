//! The course catalogue, fetched on an admin's word.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use bedel_jobs::catalogue::term::Term;
use bedel_jobs::course_sync::{self, CourseSync};
use bedel_queue::enqueue;
use bedel_queue::inspect::{self, JobState, JobView};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ApiState;
use super::auth::Admin;
use super::body::Fields;
use super::problem::{FieldError, Problem};

/// Seconds the answer waits for the job unless the caller says otherwise.
const DEFAULT_WAIT_SECONDS: u64 = 30;

/// Longest wait, in seconds: longer ones meet the time limits of proxies.
const MAX_WAIT_SECONDS: u64 = 60;

/// Pause between two looks at the job's row.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/api/admin/courses/sync", post(sync))
}

#[derive(Deserialize)]
struct Wait {
    wait: Option<String>,
}

/// 200 with the counts where the job ends in time, else 202 with its id. A job that ends without success
/// tells the reason: 503 where the catalogue could not be read, 409 where asking again mends nothing. One of other
/// settings that is live already is 409.
async fn sync(
    State(state): State<ApiState>,
    _: Admin,
    Extension(stop): Extension<CancellationToken>,
    query: Result<Query<Wait>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let wait = match query {
        Ok(Query(query)) => wait_of(query.wait)?,
        Err(_) => return Err(Problem::bad_request("The query string cannot be read.")),
    };
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
        None => Ok((StatusCode::ACCEPTED, Json(json!({ "job_id": enqueued.id }))).into_response()),
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

fn wait_of(text: Option<String>) -> Result<Duration, Problem> {
    let seconds = match text {
        None => Some(DEFAULT_WAIT_SECONDS),
        Some(text) => text.parse().ok().filter(|seconds| *seconds <= MAX_WAIT_SECONDS),
    };
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let message = format!("this must be a whole number of seconds from 0 to {MAX_WAIT_SECONDS}");
        Problem::invalid(vec![FieldError { field: "wait", code: "range", message }])
    })
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
