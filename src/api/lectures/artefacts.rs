//! A lecture's artefacts: its transcript in four formats, and its audio.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bedel_speech::{Transcript, srt};
use bedel_storage::StorageError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::body::Id;
use super::super::file::StoredFile;
use super::super::problem::Problem;
use super::super::state::ApiState;
use super::visible::visible;

/// Largest transcript that is converted, in bytes. Ten hours of speech take about two million.
const MAX_TRANSCRIPT_BYTES: u64 = 64 * 1024 * 1024;

const MISSING: &str = "The stored transcript cannot be found.";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(transcript))
        .routes(routes!(transcript_json))
        .routes(routes!(transcript_vtt))
        .routes(routes!(transcript_srt))
        .routes(routes!(transcript_txt))
        .routes(routes!(audio))
}

/// Read the transcript
#[utoipa::path(
    get, path = "/api/lectures/{id}/transcript", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "JSON: the whole text, and its segments with their times", body = Transcript)),
)]
async fn transcript(state: State<ApiState>, caller: Caller, id: Id) -> Result<Response, Problem> {
    transcript_json(state, caller, id).await
}

/// Read the transcript as JSON
#[utoipa::path(
    get, path = "/api/lectures/{id}/transcript.json", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The whole text, and its segments with their times", body = Transcript)),
)]
async fn transcript_json(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let key = transcript_key(&state, caller, id).await?;
    stored(&key, "application/json").whole(&state).await
}

/// Read the transcript as WebVTT
#[utoipa::path(
    get, path = "/api/lectures/{id}/transcript.vtt", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Captions for players", body = String, content_type = "text/vtt")),
)]
async fn transcript_vtt(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let key = transcript_key(&state, caller, id).await?;
    // Stored beside the JSON file, whose key is in the row.
    let key = key.strip_suffix(".json").map_or_else(|| key.clone(), |stem| format!("{stem}.vtt"));
    stored(&key, "text/vtt; charset=utf-8").whole(&state).await
}

/// Read the transcript as SubRip
#[utoipa::path(
    get, path = "/api/lectures/{id}/transcript.srt", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Captions for players without WebVTT", body = String, content_type = "application/x-subrip")),
)]
async fn transcript_srt(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let transcript = payload(&state, caller, id).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-subrip; charset=utf-8")], srt::render(&transcript))
        .into_response())
}

/// Read the transcript as text
#[utoipa::path(
    get, path = "/api/lectures/{id}/transcript.txt", tag = "lectures", params(("id" = Uuid, Path)),
    responses((status = 200, description = "One line per segment", body = String, content_type = "text/plain")),
)]
async fn transcript_txt(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let transcript = payload(&state, caller, id).await?;
    let lines: String = transcript.segments.iter().map(|segment| format!("{}\n", segment.text)).collect();
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response())
}

/// Play the audio
#[utoipa::path(
    get, path = "/api/lectures/{id}/audio", tag = "lectures",
    params(("id" = Uuid, Path), ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses(
        (status = 200, description = "The sound", body = [u8], content_type = "audio/mp4"),
        (status = 206, description = "The requested range", body = [u8], content_type = "audio/mp4"),
        (status = 416, description = "`range_not_satisfiable`: no such range; Content-Range gives the size"),
    ),
)]
async fn audio(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lecture = visible(&state, caller, id).await?;
    let key = lecture
        .audio_storage_key
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_ready", "This lecture has no audio yet."))?;
    let file = StoredFile {
        key: &key,
        content_type: "audio/mp4",
        filename: None,
        missing: "The stored audio cannot be found.",
    };
    file.answer(&state, &headers).await
}

fn stored<'a>(key: &'a str, content_type: &'static str) -> StoredFile<'a> {
    StoredFile { key, content_type, filename: None, missing: MISSING }
}

/// The stored transcript.
pub(crate) async fn payload(state: &ApiState, caller: Caller, id: Uuid) -> Result<Transcript, Problem> {
    let key = transcript_key(state, caller, id).await?;
    let bytes = match state.environment.storage.get_bytes(&key, MAX_TRANSCRIPT_BYTES).await {
        Ok(bytes) => bytes,
        Err(StorageError::Missing { .. }) => {
            tracing::error!("a file that a lecture's row names is missing in the storage");
            return Err(Problem::not_found(MISSING));
        }
        Err(error) => return Err(Problem::storage(&error)),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        tracing::warn!(%error, "a stored transcript has another format");
        let detail = "This lecture's transcript has another format. Read it as transcript.json.";
        Problem::new(StatusCode::NOT_FOUND, "not_ready", detail)
    })
}

async fn transcript_key(state: &ApiState, caller: Caller, id: Uuid) -> Result<String, Problem> {
    visible(state, caller, id).await?.transcript_storage_key.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "not_ready", "This lecture has no transcript yet.")
    })
}
