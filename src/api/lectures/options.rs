//! How a lecture is transcribed: its options, and transcribing it again.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::retranscribe::{self, Retranscribed};
use bedel_jobs::options::{self, TranscriptionOptions};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::body::Id;
use super::super::option_fields;
use super::super::problem::Problem;
use super::super::state::ApiState;
use super::visible::{no_lecture, visible_state};

/// A lecture that is transcribed again.
#[derive(Serialize, ToSchema)]
pub(super) struct RetranscribedLecture {
    lecture_id: Uuid,
    /// A completed lecture stays completed.
    status: LectureStatus,
    job_id: Uuid,
}

/// Transcribe a lecture again
///
/// For a completed or failed lecture. Options that are left out stay as they are. The old transcript stays until
/// the new one is stored, also if that fails. Without the audio, the recording is fetched first.
#[utoipa::path(
    post, path = "/api/lectures/{id}/transcribe", tag = "lectures", params(("id" = Uuid, Path)),
    request_body = Option<TranscriptionOptions>,
    responses(
        (status = 202, description = "The lecture and its new job", body = RetranscribedLecture),
        (status = 409, description = "`conflict`: the lecture is in progress, or completed and other users have it too"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
pub(crate) async fn transcribe(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    request: Request,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let options = option_fields::read_body(request).await?;
    let mut tx = state.begin().await?;
    let settings = &state.environment.settings;
    let outcome = retranscribe::retranscribe(&mut tx, settings, caller.limited_to(), id, options).await?;
    tx.commit().await?;
    match outcome {
        Retranscribed::NotFound => Err(no_lecture()),
        Retranscribed::Busy(kind) => Err(Problem::conflict(format!(
            "This lecture is in progress: its job {kind} is live. Wait until it ends, or cancel it."
        ))),
        Retranscribed::Shared => Err(Problem::conflict(
            "Other users read this transcript too, so only an administrator may have it made again.",
        )),
        Retranscribed::Enqueued { job_id, status } => {
            state.queue.wake();
            let body = RetranscribedLecture { lecture_id: id, status, job_id };
            Ok((StatusCode::ACCEPTED, Json(body)).into_response())
        }
    }
}

/// Show how a lecture is transcribed
///
/// Its options as stored; null leaves the option to the worker's configuration.
#[utoipa::path(
    get, path = "/api/lectures/{id}/options", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Its options", body = TranscriptionOptions)),
)]
pub(super) async fn options(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<TranscriptionOptions>, Problem> {
    visible_state(&state, caller, id).await?;
    let mut connection = state.acquire().await?;
    Ok(Json(options::lecture::read(&mut connection, id).await?))
}
