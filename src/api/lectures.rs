//! A lecture: hand it in, look at it, read its transcript, try it again, remove it.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::removal::{self, Removed};
use bedel_jobs::lecture::retry::{self, Retried};
use bedel_jobs::lecture::submission::{self, Submission};
use bedel_jobs::lecture::view::{self, LectureView};
use bedel_jobs::storage::StorageError;
use serde::Serialize;
use uuid::Uuid;

use super::ApiState;
use super::auth::Caller;
use super::body::{Fields, Id};
use super::problem::Problem;

/// Largest transcript that is handed out, in bytes; ten hours of speech are about two million.
const MAX_TRANSCRIPT_BYTES: u64 = 64 * 1024 * 1024;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/lectures/download", post(submit))
        .route("/api/lectures/{id}", get(show).delete(remove))
        .route("/api/lectures/{id}/status", get(status))
        .route("/api/lectures/{id}/retry", post(retry))
        .route("/api/lectures/{id}/transcript", get(transcript_json))
        .route("/api/lectures/{id}/transcript.json", get(transcript_json))
        .route("/api/lectures/{id}/transcript.vtt", get(transcript_vtt))
}

#[derive(Serialize)]
struct SubmittedBody {
    lecture_id: Uuid,
    status: LectureStatus,
    created: bool,
    job_id: Option<Uuid>,
}

/// 201 for a lecture that is new, 200 for one that was here.
async fn submit(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut fields = Fields::read(request).await?;
    let submission = Submission {
        course_id: fields.required_uuid("course_id").unwrap_or_default(),
        panopto_url: fields.required_text("panopto_url").unwrap_or_default(),
        stream_url: fields.text("stream_url"),
        session_id: fields.text("session_id"),
        title: fields.text("title"),
    };
    fields.finish()?;

    let mut tx = state.begin().await?;
    let submitted =
        submission::submit(&mut tx, &state.environment.settings, caller.user_id, submission).await?;
    tx.commit().await?;
    if submitted.wake {
        state.queue.wake();
    }
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    let body = SubmittedBody {
        lecture_id: submitted.lecture_id,
        status: submitted.status,
        created: submitted.created,
        job_id: submitted.job_id,
    };
    Ok((status, Json(body)).into_response())
}

async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<LectureView>, Problem> {
    visible(&state, caller, id).await.map(Json)
}

#[derive(Serialize)]
struct StatusBody {
    lecture_id: Uuid,
    status: LectureStatus,
    error_message: Option<String>,
    duration_seconds: Option<i32>,
    stage: Option<String>,
    progress: Option<f32>,
}

async fn status(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<StatusBody>, Problem> {
    let lecture = visible(&state, caller, id).await?;
    Ok(Json(StatusBody {
        lecture_id: lecture.id,
        status: lecture.status,
        error_message: lecture.error_message,
        duration_seconds: lecture.duration_seconds,
        stage: lecture.stage,
        progress: lecture.progress,
    }))
}

/// 204. An admin's removal is for everybody, a user's for that user.
async fn remove(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    let mut tx = state.begin().await?;
    let removed = if caller.admin {
        removal::delete(&mut tx, id).await?
    } else {
        removal::unlink(&mut tx, caller.user_id, id).await?
    };
    tx.commit().await?;
    match removed {
        Removed::NotFound => return Err(no_lecture()),
        Removed::Unlinked => {}
        Removed::Deleted => {
            state.queue.wake();
            state.queue.announce_cancellation();
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct RetriedBody {
    lecture_id: Uuid,
    job_id: Uuid,
}

/// 202 with the job that will work for the lecture.
async fn retry(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    let mut tx = state.begin().await?;
    let limited_to = (!caller.admin).then_some(caller.user_id);
    let retried = retry::retry(&mut tx, &state.environment.settings, limited_to, id).await?;
    tx.commit().await?;
    match retried {
        Retried::NotFound => Err(no_lecture()),
        Retried::Running => Err(Problem::conflict("This lecture is already being worked on.")),
        Retried::Completed => Err(Problem::conflict("This lecture is already completed.")),
        Retried::Due(job_id) => {
            state.queue.wake();
            Ok((StatusCode::ACCEPTED, Json(RetriedBody { lecture_id: id, job_id })).into_response())
        }
    }
}

async fn transcript_json(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let key = transcript_key(&state, caller, id).await?;
    artefact(&state, &key, "application/json").await
}

async fn transcript_vtt(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let key = transcript_key(&state, caller, id).await?;
    // Stored beside the payload, whose key is the one in the row.
    let key = key.strip_suffix(".json").map_or_else(|| key.clone(), |stem| format!("{stem}.vtt"));
    artefact(&state, &key, "text/vtt; charset=utf-8").await
}

async fn transcript_key(state: &ApiState, caller: Caller, id: Uuid) -> Result<String, Problem> {
    visible(state, caller, id).await?.transcript_storage_key.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "not_ready", "This lecture has no transcript yet.")
    })
}

async fn visible(state: &ApiState, caller: Caller, id: Uuid) -> Result<LectureView, Problem> {
    let mut connection = state.acquire().await?;
    view::read(&mut connection, caller.user_id, id).await?.ok_or_else(no_lecture)
}

fn no_lecture() -> Problem {
    Problem::not_found("There is no such lecture among yours.")
}

async fn artefact(state: &ApiState, key: &str, content_type: &'static str) -> Result<Response, Problem> {
    match state.environment.storage.get_bytes(key, MAX_TRANSCRIPT_BYTES).await {
        Ok(bytes) => Ok(([(header::CONTENT_TYPE, content_type)], bytes).into_response()),
        Err(StorageError::Missing { .. }) => {
            tracing::error!("the storage has no file where a lecture's row names one");
            Err(Problem::not_found("The stored transcript cannot be found."))
        }
        Err(error) => {
            tracing::error!(%error, "the storage did not hand out a transcript");
            Err(Problem::unavailable(
                "The storage cannot be reached at the moment. Try again in a few seconds.",
            ))
        }
    }
}
