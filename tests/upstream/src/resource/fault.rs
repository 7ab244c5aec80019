//! Faults of a file's replies.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::reply::Reply;

/// One fault. Lengths count bytes of the reply's body, which may be a part of the file.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This reply instead of the file: a status, a login page, `Retry-After`. A [`Reply`] converts into this.
    Reply(Reply),
    /// A wait before the reply.
    Latency(Duration),
    /// Changed content, with its own `ETag` and date.
    Body(Bytes),
    /// This `ETag`, including quotes, for the same content.
    Etag(String),
    /// No `ETag` and no `Last-Modified`.
    NoValidators,
    /// Ignores `Range`: the whole file with status 200.
    IgnoreRange,
    /// Status 416 for any range.
    RefuseRange,
    /// The right part with this `Content-Range`.
    ContentRange(String),
    /// A part that starts at this byte instead of the requested one, with a matching `Content-Range`.
    RangeFrom(usize),
    /// Announces the whole body, sends this many bytes and hangs up.
    CutAt(usize),
    /// Announces the whole body, sends this many bytes and resets the connection.
    ResetAt(usize),
    /// Announces the whole body, sends this many bytes and stalls until the client hangs up.
    StallAt(usize),
    /// Bytes per write, and the pause after each.
    Drip(usize, Duration),
    /// Announces this length instead of the body's.
    Announce(usize),
    /// Announces no length: the end of the connection ends the body.
    WithoutLength,
    /// Announces no length and sends chunks. With `CutAt` it stops in the middle of one.
    Chunked,
    /// Repeats the body until the client hangs up or has 1 GiB.
    Endless,
    /// Sends headers until the client hangs up or has 1 GiB of them.
    EndlessHeaders,
}

impl From<Reply> for Fault {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl Fault {
    /// Applies this fault to the delivery of `reply`.
    pub(super) fn deliver(&self, reply: Reply) -> Reply {
        match *self {
            Self::Latency(latency) => reply.delay(latency),
            Self::CutAt(bytes) => reply.cut_at(bytes),
            Self::ResetAt(bytes) => reply.reset_at(bytes),
            Self::StallAt(bytes) => reply.stall_at(bytes),
            Self::Drip(bytes, pause) => reply.drip(bytes, pause),
            Self::Announce(length) => reply.announce_length(length),
            Self::WithoutLength => reply.without_length(),
            Self::Chunked => reply.chunked(),
            Self::Endless => reply.endless(),
            Self::EndlessHeaders => reply.endless_headers(),
            Self::Reply(_)
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

/// A fault and the numbers of its requests, counted from 0.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    requests: Range<usize>,
    fault: Fault,
}

impl Rule {
    pub(super) fn new(requests: Range<usize>, fault: Fault) -> Self {
        Self { requests, fault }
    }

    /// The fault, if it applies to the request with this number.
    pub(super) fn fault(&self, number: usize) -> Option<&Fault> {
        self.requests.contains(&number).then_some(&self.fault)
    }
}
