//! A time limit for a request's head that leaves idle connections alone. hyper has one limit for both.
//!
//! A connection waits for its first head from the start, and for each later one from its first byte.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What a connection and its requests share: how many were begun and how many are answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    answered: AtomicUsize,
}

impl Requests {
    /// A head has arrived.
    pub(super) fn begin(&self) -> Answer {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Answer(self.clone())
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn all_answered(&self) -> bool {
        self.begun() == self.0.answered.load(Ordering::Relaxed)
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Answer(Requests);

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer's body. hyper drops it when it is sent.
pub(super) struct AnswerBody {
    body: Body,
    _answer: Answer,
}

impl AnswerBody {
    pub(super) fn new(body: Body, answer: Answer) -> Self {
        Self { body, _answer: answer }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that fails a read when a head takes longer than the limit.
pub(super) struct HeadTimeout<S> {
    stream: S,
    requests: Requests,
    limit: Duration,
    /// Ends the wait for a head.
    timer: Pin<Box<Sleep>>,
    /// The requests begun before the head that is awaited. None while none of it has arrived.
    head_after: Option<usize>,
}

impl<S> HeadTimeout<S> {
    pub(super) fn new(stream: S, requests: Requests, limit: Duration) -> Self {
        Self { stream, requests, limit, timer: Box::pin(sleep(limit)), head_after: Some(0) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let begun = this.requests.begun();
        this.head_after = this.head_after.filter(|before| *before == begun);
        let filled = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_ready() {
            let has_read = buf.filled().len() > filled;
            if has_read && this.head_after.is_none() && this.requests.all_answered() {
                this.head_after = Some(begun);
                this.timer.as_mut().reset(Instant::now() + this.limit);
            }
        } else if this.head_after.is_some() {
            ready!(this.timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
