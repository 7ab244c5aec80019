//! What may go wrong with a file.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::Reply;

/// One way for an answer to go wrong. Lengths are of the answer's body, which may be a part of the file.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This reply instead of the file: a status, a login page, `Retry-After`. A [`Reply`] can be given in its place.
    Answer(Reply),
    /// Nothing for so long, then the answer.
    Latency(Duration),
    /// Another content, with an `ETag` and a date of its own: the file has changed.
    Body(Bytes),
    /// This `ETag`, quotes and all, for the same content.
    Etag(String),
    /// Neither `ETag` nor `Last-Modified`.
    NoValidators,
    /// The whole file with status 200, whatever part was asked for.
    IgnoreRange,
    /// Status 416 for whatever part was asked for.
    RefuseRange,
    /// The right part under this `Content-Range`.
    ContentRange(String),
    /// Another part, and said so: from this byte, wherever the client wanted to begin.
    RangeFrom(usize),
    /// Announces everything, sends this many bytes and hangs up.
    CutAt(usize),
    /// Announces everything, sends this many bytes and resets the connection.
    ResetAt(usize),
    /// Announces everything, sends this many bytes and falls silent until the client goes away.
    StallAt(usize),
    /// So many bytes at a time, with a pause after each.
    Drip(usize, Duration),
    /// Announces this many bytes, whatever there is.
    Announce(usize),
    /// Announces no length: the end of the connection ends the body.
    WithoutLength,
    /// Announces no length, and sends chunks. With `CutAt` it breaks off in the middle of one.
    Chunked,
    /// The body again and again, until the client goes away or has 1 GiB.
    Endless,
    /// Headers until the client goes away or has 1 GiB of them.
    EndlessHeaders,
}

impl From<Reply> for Fault {
    fn from(reply: Reply) -> Self {
        Self::Answer(reply)
    }
}

impl Fault {
    /// Does to the delivery of `reply` what this fault does to it.
    pub(super) fn deliver(&self, reply: Reply) -> Reply {
        match *self {
            Self::Latency(latency) => reply.late(latency),
            Self::CutAt(bytes) => reply.cut_at(bytes),
            Self::ResetAt(bytes) => reply.reset_at(bytes),
            Self::StallAt(bytes) => reply.stalled_at(bytes),
            Self::Drip(bytes, pause) => reply.dripping(bytes, pause),
            Self::Announce(length) => reply.announcing(length),
            Self::WithoutLength => reply.without_length(),
            Self::Chunked => reply.chunked(),
            Self::Endless => reply.endless(),
            Self::EndlessHeaders => reply.with_endless_headers(),
            Self::Answer(_)
            | Self::Body(_)
            | Self::Etag(_)
            | Self::NoValidators
            | Self::IgnoreRange
            | Self::RefuseRange
            | Self::ContentRange(_)
            | Self::RangeFrom(_) => reply,
        }
    }
}

/// A fault, and the requests that meet it, counted from 0.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    requests: Range<usize>,
    fault: Fault,
}

impl Rule {
    pub(super) fn new(requests: Range<usize>, fault: Fault) -> Self {
        Self { requests, fault }
    }

    /// The fault, where it holds for the request before which `asked` others came.
    pub(super) fn fault(&self, asked: usize) -> Option<&Fault> {
        self.requests.contains(&asked).then_some(&self.fault)
    }
}
