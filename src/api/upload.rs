//! Files that clients send as multipart forms (RFC 7578). A file goes to the storage piece by piece, with its SHA-256 on the
//! way; nothing but a piece of it is ever in memory.

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

use super::problem::Problem;
use super::state::ApiState;

/// A client that sends nothing for so long has left.
const STALLED_AFTER: Duration = Duration::from_secs(20);

/// Longest upload. It must stay well below the hour after which cleanup-orphans takes an upload for left behind.
const UPLOAD_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Largest part of a form that is no file, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// What a form may hold beside its file, in bytes.
const MAX_BESIDE_BYTES: u64 = 1024 * 1024;

/// Bytes that the parser may hold without making anything of them: between parts, and as a part's head.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;

/// Bytes that the parser gets at a time, however fast they come.
const PIECE_BYTES: usize = 128 * 1024;

/// Bytes of a file that are looked at before any of it is stored.
const HEAD_BYTES: usize = bedel_fetch::body::HEAD_BYTES;

/// A client that is still sending cannot read a refusal, so for so long what it sends is read and dropped.
const DRAIN_WITHIN: Duration = Duration::from_secs(20);

/// What a form is read into, part by part.
pub(super) trait Form {
    /// Takes one part, a text or a file; one that it does not know is skipped.
    async fn part(&mut self, part: Part<'_>) -> Result<(), Problem>;
}

/// One part of a form.
pub(super) struct Part<'a> {
    field: Field<'static>,
    unread: &'a AtomicUsize,
}

/// A file that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) size: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub(super) sha256: String,
}

/// For routes that take files: where the answer is a refusal, what the client still sends is read first, or it would see a
/// broken connection and no answer.
pub(super) async fn drain_refused(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body.into_data_stream())));
    let body = Body::from_stream(shared.clone());
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        let mut rest = shared;
        let drained = async { while let Some(Ok(_)) = rest.next().await {} };
        // What the client does meanwhile changes nothing about the answer.
        let _ = timeout(DRAIN_WITHIN, drained).await;
    }
    response
}

/// A body that somebody else goes on to read when the first reader has left.
#[derive(Clone)]
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(cx)
    }
}

/// Reads the form to its end, within [`UPLOAD_WITHIN`]. Its file may have `max` bytes.
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
            let next = timeout(STALLED_AFTER, multipart.next_field()).await.map_err(|_| too_slow())?;
            match next.map_err(|error| broken(&error))? {
                Some(field) => {
                    unread.store(0, Ordering::Relaxed);
                    form.part(Part { field, unread: &unread }).await?;
                }
                None => return Ok(()),
            }
        }
    };
    timeout(UPLOAD_WITHIN, parts).await.unwrap_or_else(|_| Err(too_slow()))
}

/// A body on its way to the parser, which keeps what it cannot make anything of yet: it gets a piece at a time, and no more
/// than so many before it has made something of one.
struct Metered {
    body: BodyDataStream,
    /// Bytes since the parser last gave something out.
    unread: Arc<AtomicUsize>,
    /// Bytes since it was last left alone.
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
                    return Poll::Ready(Some(Err(io::Error::other("no part of a form for too long"))));
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

    pub(super) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// Its declared type without parameters, in small letters; empty where none is declared.
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

    /// Stores a file of at most `max` bytes under `key`, once `looks_right` was content with its first bytes. Whatever goes
    /// wrong, nothing is left there.
    pub(super) async fn store(
        mut self,
        state: &ApiState,
        key: &str,
        max: u64,
        looks_right: impl FnOnce(&[u8]) -> Result<(), Problem>,
    ) -> Result<Received, Problem> {
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
                // The storage's own trouble with forgetting it changes nothing: a clean-up finds it.
                let _ = writer.abort().await;
                return Err(Problem::too_large(format!(
                    "The file is larger than {} MiB, the most that is accepted here.",
                    max / 1024 / 1024
                )));
            }
            hash.update(&chunk);
            writer.write(chunk).await.map_err(|error| Problem::storage(&error))?;
            next = if ended { None } else { self.chunk().await? };
        }
        writer.finish().await.map_err(|error| Problem::storage(&error))?;
        let sha256 = hex::encode(hash.finalize());
        Ok(Received { size, sha256 })
    }

    /// Reads past what nobody asked for.
    pub(super) async fn skip(mut self) -> Result<(), Problem> {
        while self.chunk().await?.is_some() {}
        Ok(())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = timeout(STALLED_AFTER, self.field.chunk()).await.map_err(|_| too_slow())?;
        self.unread.store(0, Ordering::Relaxed);
        chunk.map_err(|error| broken(&error))
    }
}

/// Deletes what was stored for an upload that is not used. Where that fails, a clean-up does it.
pub(super) async fn forget(state: &ApiState, key: &str) {
    if let Err(error) = state.environment.storage.delete(key).await {
        tracing::warn!(%error, "an upload that is not used could not be deleted; cleanup-orphans will");
    }
}

fn broken(error: &multer::Error) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { .. } => {
            Problem::too_large("The form holds too much beside its file.")
        }
        _ => Problem::bad_request("The form is not valid multipart, or it ended early."),
    }
}

fn too_slow() -> Problem {
    Problem::bad_request("The form arrived too slowly.")
}
