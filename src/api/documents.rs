//! Users' documents: upload, show, download, delete.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use bedel_jobs::document::{self, Document, DocumentStatus, NewDocument};
use bedel_storage::keys;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Caller;
use super::body::Id;
use super::file::StoredFile;
use super::problem::Problem;
use super::state::ApiState;
use super::upload::{self, Form, Part, StoredBytes};

/// Content types for PDFs. Some clients send a generic one.
const TYPES: [&str; 3] = ["application/pdf", "application/x-pdf", "application/octet-stream"];

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(upload).layer(from_fn(upload::drain_refused)))
        .routes(routes!(show, remove))
        .routes(routes!(file))
}

/// The upload form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the form is read part by part")]
struct DocumentForm {
    /// The document's course.
    course_id: Uuid,
    /// A PDF, named `….pdf`.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

#[derive(Serialize, ToSchema)]
struct UploadedDocument {
    document_id: Uuid,
    course_id: Uuid,
    status: DocumentStatus,
}

/// Upload a PDF
///
/// The same bytes in the same course are one document per user.
#[utoipa::path(
    post, path = "/api/documents/upload", tag = "documents",
    request_body(content = DocumentForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "A new document", body = UploadedDocument),
        (status = 200, description = "The same bytes were uploaded before", body = UploadedDocument),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let id = Uuid::new_v4();
    let mut form = Upload { state: &state, id, course_id: None, file: None };
    let read = upload::read(request, state.limits.max_document_bytes, &mut form).await;
    let (course_id, file) = (form.course_id, form.file);
    let mut disposal = Disposal::Delete;
    let accepted = match read {
        Ok(()) => accept(&state, caller, id, course_id, file.as_ref(), &mut disposal).await,
        Err(problem) => Err(problem),
    };
    if file.is_some() && disposal == Disposal::Delete {
        upload::delete_unused(&state, &keys::documents(id)).await;
    }
    let (document_id, course_id, status) = accepted?;
    let body = UploadedDocument { document_id, course_id, status: DocumentStatus::Uploaded };
    Ok((status, Json(body)).into_response())
}

/// What to do with the stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disposal {
    /// No row names them: delete.
    Delete,
    /// A row may name them, since the answer to a COMMIT can be lost. A clean-up decides.
    Keep,
}

/// A form while it is read.
struct Upload<'a> {
    state: &'a ApiState,
    /// Id of the new document.
    id: Uuid,
    course_id: Option<String>,
    /// File name and stored bytes.
    file: Option<(String, StoredBytes)>,
}

impl Form for Upload<'_> {
    async fn part(&mut self, part: Part<'_>) -> Result<(), Problem> {
        match part.name() {
            "course_id" => self.course_id = Some(part.text("course_id").await?),
            "file" if self.file.is_some() => {
                return Err(Problem::invalid_field(
                    "file",
                    "twice",
                    "an upload is one file: send the others separately",
                ));
            }
            "file" => {
                let name = part.file_name().as_deref().and_then(document::file_name).ok_or_else(|| {
                    Problem::invalid_field(
                        "file",
                        "name",
                        "only PDF files are accepted: the file's name must end in .pdf",
                    )
                })?;
                if !TYPES.contains(&part.content_type().as_str()) {
                    return Err(Problem::unsupported_media(
                        "Only PDF files are accepted: send it as application/pdf.",
                    ));
                }
                let max = self.state.limits.max_document_bytes;
                let received = part.store(self.state, &keys::documents(self.id), max, looks_like_pdf).await?;
                self.file = Some((name, received));
            }
            _ => part.skip().await?,
        }
        Ok(())
    }
}

fn looks_like_pdf(head: &[u8]) -> Result<(), Problem> {
    if document::is_pdf(head) {
        return Ok(());
    }
    Err(Problem::unsupported_media(
        "This file is not a PDF: %PDF- is not among its first 1024 bytes. Export it as PDF and send that.",
    ))
}

/// The document's id, its course and the status for the answer.
async fn accept(
    state: &ApiState,
    caller: Caller,
    id: Uuid,
    course_id: Option<String>,
    file: Option<&(String, StoredBytes)>,
    disposal: &mut Disposal,
) -> Result<(Uuid, Uuid, StatusCode), Problem> {
    let course_id =
        course_id.ok_or_else(|| Problem::invalid_field("course_id", "missing", "this field is required"))?;
    let course_id: Uuid = course_id
        .trim()
        .parse()
        .map_err(|_| Problem::invalid_field("course_id", "uuid", "this must be a UUID"))?;
    let (filename, received) =
        file.ok_or_else(|| Problem::invalid_field("file", "missing", "send the PDF as the part `file`"))?;
    let new = NewDocument {
        id,
        course_id,
        filename: filename.clone(),
        checksum: received.sha256.clone(),
        size_bytes: i64::try_from(received.size).unwrap_or(i64::MAX),
    };
    let mut tx = state.begin().await?;
    let accepted = document::accept(&mut tx, caller.user_id, &new).await?;
    *disposal = if accepted.created { Disposal::Keep } else { Disposal::Delete };
    tx.commit().await?;
    if accepted.created {
        return Ok((accepted.id, course_id, StatusCode::CREATED));
    }
    if accepted.status == DocumentStatus::Failed {
        let storage = &state.environment.storage;
        let renamed = storage.rename(&keys::documents(id), &keys::documents(accepted.id)).await;
        renamed.map_err(|error| Problem::storage(&error))?;
        let mut connection = state.acquire().await?;
        if !document::restore(&mut connection, accepted.id).await? {
            drop(connection);
            upload::delete_unused(state, &keys::documents(accepted.id)).await;
            return Err(Problem::unavailable(
                "This document is being deleted. Send it again in a few seconds.",
            ));
        }
    }
    Ok((accepted.id, course_id, StatusCode::OK))
}

/// Show a document
#[utoipa::path(
    get, path = "/api/documents/{id}", tag = "documents", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The document", body = Document)),
)]
async fn show(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Json<Document>, Problem> {
    find_owned(&state, caller, id).await.map(Json)
}

/// Download a document
#[utoipa::path(
    get, path = "/api/documents/{id}/file", tag = "documents",
    params(("id" = Uuid, Path), ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses(
        (status = 200, description = "The file", body = [u8], content_type = "application/pdf"),
        (status = 206, description = "The requested range", body = [u8], content_type = "application/pdf"),
        (status = 416, description = "`range_not_satisfiable`: no such range; Content-Range gives the size"),
    ),
)]
async fn file(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let document = find_owned(&state, caller, id).await?;
    let file = StoredFile {
        key: &document.storage_key,
        content_type: "application/pdf",
        filename: Some(&document.filename),
        missing: "The stored file cannot be found. Upload the document again.",
    };
    file.answer(&state, &headers).await
}

/// Delete a document
///
/// Its file is deleted at once. An admin may delete anybody's document.
#[utoipa::path(
    delete, path = "/api/documents/{id}", tag = "documents", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")),
)]
pub(crate) async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let mut connection = state.acquire().await?;
    let key = document::remove(&mut connection, caller.limited_to(), id).await?.ok_or_else(no_document)?;
    // Do not hold a connection during slow storage calls.
    drop(connection);
    upload::delete_unused(&state, &key).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn find_owned(state: &ApiState, caller: Caller, id: Uuid) -> Result<Document, Problem> {
    let mut connection = state.acquire().await?;
    document::read(&mut connection, caller.user_id, id).await?.ok_or_else(no_document)
}

fn no_document() -> Problem {
    Problem::not_found("You have no such document.")
}
