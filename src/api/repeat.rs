//! Repeats a request once that failed because of its database connection.
//!
//! Such a statement was refused, so its transaction changed nothing: the connection was older than a migration,
//! or read-only. The repeat gets a fresh one. Uploads are too large to keep and are not repeated.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// Longest body that is kept for the repeat, in bytes: that of a request with JSON.
const MAX_KEPT_BYTES: usize = 64 * 1024;

tokio::task_local! {
    /// True once a statement of this request was refused because of its connection.
    static STALE: Cell<bool>;
}

/// Called for every error of a statement. Outside a request it only marks the connections.
pub(super) fn note(error: &sqlx::Error) {
    if bedel_queue::note_stale(error) {
        let _ = STALE.try_with(|stale| stale.set(true));
    }
}

/// Runs the request, and once more if its connection was to blame.
pub(super) async fn repeat(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (again, next_again) = (parts.clone(), next.clone());
    let (body, kept) = if body.is_end_stream() {
        (body, None)
    } else {
        let kept = Arc::new(Mutex::new(Kept { rest: body, read: Vec::new(), bytes: 0 }));
        (Body::new(Replay { kept: Arc::clone(&kept), position: 0 }), Some(kept))
    };
    let first = async {
        let response = next.run(Request::from_parts(parts, body)).await;
        (response, STALE.with(Cell::get))
    };
    let (response, stale) = STALE.scope(Cell::new(false), first).await;
    if !stale || !response.status().is_server_error() {
        return response;
    }
    let body = match kept {
        None => Body::empty(),
        Some(kept) if kept.lock().unwrap_or_else(PoisonError::into_inner).bytes > MAX_KEPT_BYTES => {
            return response;
        }
        Some(kept) => Body::new(Replay { kept, position: 0 }),
    };
    let second = next_again.run(Request::from_parts(again, body)).await;
    // The first run has spent what the limit allows.
    if second.status() == StatusCode::TOO_MANY_REQUESTS { response } else { second }
}

/// A body, and what was read of it.
struct Kept {
    rest: Body,
    /// Emptied once there are more than [`MAX_KEPT_BYTES`].
    read: Vec<Bytes>,
    bytes: usize,
}

/// Yields what was read of the body before, then reads on.
struct Replay {
    kept: Arc<Mutex<Kept>>,
    position: usize,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let mut kept = this.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = kept.read.get(this.position) {
            this.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        let frame = ready!(Pin::new(&mut kept.rest).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            kept.bytes = kept.bytes.saturating_add(bytes.len());
            if kept.bytes > MAX_KEPT_BYTES {
                kept.read = Vec::new();
            } else {
                kept.read.push(bytes.clone());
                this.position += 1;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.position >= kept.read.len() && kept.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.position >= kept.read.len() { kept.rest.size_hint() } else { SizeHint::default() }
    }
}
