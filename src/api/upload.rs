//! Uploads as multipart forms (RFC 7578). A file streams to the storage while its SHA-256 is computed; memory
//! holds one chunk of it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use multer::{Constraints, Field, Multipart, SizeLimit};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::file_name::file_name;
use super::problem::Problem;
use super::state::ApiState;

/// A client that sends nothing for this long has disconnected.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest upload. Must stay well below an hour: then cleanup-orphans deletes it as abandoned.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Largest text part, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Bytes of a form besides its file.
const MAX_BESIDE_BYTES: u64 = 1024 * 1024;

/// Bytes that the parser may buffer between parts and in a part's head.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;

/// Bytes handed to the parser before other tasks get a turn.
const PIECE_BYTES: usize = 128 * 1024;

/// Bytes of a file that are checked before it is stored.
const HEAD_BYTES: usize = bedel_fetch::body::HEAD_BYTES;

/// After a refusal the rest of the body is read for this long: a client that is still sending cannot read the
/// answer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The target of a form, part by part.
pub(super) trait Form {
    /// Reads one part. Unknown parts are skipped.
    async fn part(&mut self, part: Part<'_>) -> Result<(), Problem>;
}

/// A part of a form.
pub(super) struct Part<'a> {
    field: Field<'static>,
    unread: &'a AtomicUsize,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredBytes {
    pub(super) size: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub(super) sha256: String,
}

/// For routes with uploads. After a refusal it reads the rest of the body, or the client would see a broken
/// connection instead of the answer.
pub(super) async fn drain_refused(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body.into_data_stream())));
    let body = Body::from_stream(shared.clone());
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        let mut rest = shared;
        let drained = async { while let Some(Ok(_)) = rest.next().await {} };
        // The answer is the same however the client behaves now.
        let _ = timeout(DRAIN_TIMEOUT, drained).await;
    }
    response
}

/// A body that a second reader continues after the first one stops.
#[derive(Clone)]
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(cx)
    }
}

/// Reads the form to its end, within [`UPLOAD_TIMEOUT`]. Its file may have up to `max` bytes.
pub(super) async fn read(request: Request, max: u64, form: &mut impl Form) -> Result<(), Problem> {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = declared.and_then(|declared| multer::parse_boundary(declared).ok()).ok_or_else(|| {
        Problem::unsupported_media(
            "The body must be a form, with `Content-Type: multipart/form-data; boundary=…`.",
        )
    })?;
    let unread = Arc::new(AtomicUsize::new(0));
    let body =
        Metered { body: request.into_body().into_data_stream(), unread: Arc::clone(&unread), piece: 0 };
    let limits = SizeLimit::new().whole_stream(max.saturating_add(MAX_BESIDE_BYTES));
    let mut multipart = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limits));
    let parts = async {
        loop {
            let next = timeout(STALL_TIMEOUT, multipart.next_field()).await.map_err(|_| too_slow())?;
            match next.map_err(|error| form_error(&error))? {
                Some(field) => {
                    unread.store(0, Ordering::Relaxed);
                    form.part(Part { field, unread: &unread }).await?;
                }
                None => return Ok(()),
            }
        }
    };
    timeout(UPLOAD_TIMEOUT, parts).await.unwrap_or_else(|_| Err(too_slow()))
}

/// A body on its way to the parser. Yields after [`PIECE_BYTES`], and fails if the parser buffers more than
/// [`MAX_UNREAD_BYTES`].
struct Metered {
    body: BodyDataStream,
    /// Bytes since the parser last returned something.
    unread: Arc<AtomicUsize>,
    /// Bytes since the last yield.
    piece: usize,
}

impl Stream for Metered {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.piece >= PIECE_BYTES {
            self.piece = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.body.poll_next_unpin(cx);
        match polled {
            Poll::Ready(Some(Ok(bytes))) => {
                self.piece += bytes.len();
                let unread = self.unread.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
                if unread > MAX_UNREAD_BYTES {
                    return Poll::Ready(Some(Err(io::Error::other("no part of a form within the limit"))));
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(io::Error::other(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                self.piece = 0;
                Poll::Pending
            }
        }
    }
}

impl Part<'_> {
    pub(super) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    pub(super) fn file_name(&self) -> Option<String> {
        file_name(self.field.headers().get(header::CONTENT_DISPOSITION)?.as_bytes())
    }

    /// Declared type without parameters, in lower case; empty if none is declared.
    pub(super) fn content_type(&self) -> String {
        self.field.content_type().map(|kind| kind.essence_str().to_ascii_lowercase()).unwrap_or_default()
    }

    /// A text of at most [`MAX_TEXT_BYTES`].
    pub(super) async fn text(mut self, field: &'static str) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > MAX_TEXT_BYTES {
                return Err(Problem::too_large(format!(
                    "{field} is larger than {} KiB.",
                    MAX_TEXT_BYTES / 1024
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes)
            .map_err(|_| Problem::invalid_field(field, "utf-8", "this must be a text in UTF-8"))
    }

    /// Stores a file of at most `max` bytes under `key`, once `looks_right` accepts its first bytes. On an
    /// error nothing stays stored.
    pub(super) async fn store(
        mut self,
        state: &ApiState,
        key: &str,
        max: u64,
        looks_right: impl FnOnce(&[u8]) -> Result<(), Problem>,
    ) -> Result<StoredBytes, Problem> {
        let mut head = Vec::new();
        let mut ended = false;
        while head.len() < HEAD_BYTES && !ended {
            match self.chunk().await? {
                Some(chunk) => head.extend_from_slice(&chunk),
                None => ended = true,
            }
        }
        looks_right(&head)?;
        let mut writer =
            state.environment.storage.writer(key).await.map_err(|error| Problem::storage(&error))?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut next = Some(Bytes::from(head));
        while let Some(chunk) = next {
            size += chunk.len() as u64;
            if size > max {
                // If the abort fails, a clean-up deletes the bytes.
                let _ = writer.abort().await;
                return Err(Problem::too_large(format!(
                    "The file is larger than the limit of {} MiB.",
                    max / 1024 / 1024
                )));
            }
            hash.update(&chunk);
            writer.write(chunk).await.map_err(|error| Problem::storage(&error))?;
            next = if ended { None } else { self.chunk().await? };
        }
        writer.finish().await.map_err(|error| Problem::storage(&error))?;
        let sha256 = hex::encode(hash.finalize());
        Ok(StoredBytes { size, sha256 })
    }

    /// Skips the part.
    pub(super) async fn skip(mut self) -> Result<(), Problem> {
        while self.chunk().await?.is_some() {}
        Ok(())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = timeout(STALL_TIMEOUT, self.field.chunk()).await.map_err(|_| too_slow())?;
        self.unread.store(0, Ordering::Relaxed);
        chunk.map_err(|error| form_error(&error))
    }
}

/// Deletes an unused upload. If that fails, a clean-up does it.
pub(super) async fn delete_unused(state: &ApiState, key: &str) {
    if let Err(error) = state.environment.storage.delete(key).await {
        tracing::warn!(%error, "an unused upload could not be deleted; cleanup-orphans will");
    }
}

fn form_error(error: &multer::Error) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { .. } => {
            Problem::too_large("The form holds too much besides its file.")
        }
        _ => Problem::bad_request("The form is not valid multipart, or it ended early."),
    }
}

fn too_slow() -> Problem {
    Problem::bad_request("The form arrived too slowly.")
}
