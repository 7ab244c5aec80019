//! A file as S3 and CloudFront serve it, with ranges and validators, and what may go wrong with it.

mod fault;
mod range;

use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use fault::Fault;

use crate::{Reply, Request};
use fault::Rule;
use range::Asked;

/// When the first content of a resource was made, for whoever asks.
const MADE: &str = "Tue, 07 Jan 2025 08:00:00 GMT";
/// When a content that took its place was made.
const CHANGED: &str = "Wed, 08 Jan 2025 09:30:00 GMT";

/// A file on a path: `Range` and `If-Range` (RFC 9110, 13.1.5 and 14), a strong `ETag` of its content, `Last-Modified`.
///
/// Its faults go by the number of the request; a `HEAD` does not count, and is told what the next `GET` would be told.
/// Several faults may hold for one request.
///
/// ```ignore
/// // Cut twice, a second late each time, and then another file.
/// Resource::new(media)
///     .first(2, Fault::CutAt(50_000))
///     .always(Fault::Latency(Duration::from_secs(1)))
///     .after(2, Fault::Body(other))
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Resource {
    content: Content,
    content_type: String,
    query: Option<String>,
    rules: Vec<Rule>,
}

/// Bytes and their validators.
#[derive(Debug, Clone)]
struct Content {
    bytes: Bytes,
    etag: String,
    modified: &'static str,
}

impl Content {
    fn new(bytes: Bytes, modified: &'static str) -> Self {
        let mut etag = String::from("\"");
        for byte in &Sha256::digest(&bytes)[..8] {
            write!(etag, "{byte:02x}").expect("a string takes what it is given");
        }
        etag.push('"');
        Self { bytes, etag, modified }
    }
}

impl Resource {
    /// A file with this content, without faults.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::new(bytes.into(), MADE),
            content_type: "video/mp4".to_owned(),
            query: None,
            rules: Vec::new(),
        }
    }

    /// What the server calls it. `video/mp4` by default.
    pub fn content_type(self, content_type: &str) -> Self {
        Self { content_type: content_type.to_owned(), ..self }
    }

    /// Only for URLs with exactly this query, such as `Policy=a&Signature=b`. Others are refused with status 403, as
    /// CloudFront refuses a signature that has expired.
    pub fn signed(self, query: &str) -> Self {
        Self { query: Some(query.to_owned()), ..self }
    }

    /// The first `count` requests meet this fault, or this reply.
    pub fn first(self, count: usize, fault: impl Into<Fault>) -> Self {
        self.with(0..count, fault.into())
    }

    /// The requests after the first `count` meet this fault, or this reply.
    pub fn after(self, count: usize, fault: impl Into<Fault>) -> Self {
        self.with(count..usize::MAX, fault.into())
    }

    /// Every request meets this fault, or this reply.
    pub fn always(self, fault: impl Into<Fault>) -> Self {
        self.after(0, fault)
    }

    fn with(mut self, requests: std::ops::Range<usize>, fault: Fault) -> Self {
        self.rules.push(Rule::new(requests, fault));
        self
    }

    /// The `ETag` of the content it was made with.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.content.etag
    }

    /// The answer to a request before which `asked` others came.
    pub(crate) fn reply(&self, asked: usize, request: &Request) -> Reply {
        let faults: Vec<&Fault> = self.rules.iter().filter_map(|rule| rule.fault(asked)).collect();
        let reply = self.answer(&faults, request);
        faults.iter().fold(reply, |reply, fault| fault.deliver(reply))
    }

    fn answer(&self, faults: &[&Fault], request: &Request) -> Reply {
        if self.query.as_deref().is_some_and(|query| query != request.query()) {
            return Reply::new(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>");
        }
        let mut terms = Terms::new(&self.content);
        for fault in faults {
            if let Fault::Answer(reply) = fault {
                return reply.clone();
            }
            terms.bend(fault);
        }
        let reply = terms.part(&self.content_type, request);
        if !terms.validators {
            return reply;
        }
        reply.header("etag", &terms.content.etag).header("last-modified", terms.content.modified)
    }
}

/// What an answer goes by: the truth, bent by faults.
struct Terms<'a> {
    content: Content,
    validators: bool,
    ranges: Ranges,
    content_range: Option<&'a str>,
    from: Option<usize>,
}

/// What a server makes of `Range`.
enum Ranges {
    Known,
    Ignored,
    Refused,
}

impl<'a> Terms<'a> {
    fn new(content: &Content) -> Self {
        Self {
            content: content.clone(),
            validators: true,
            ranges: Ranges::Known,
            content_range: None,
            from: None,
        }
    }

    fn bend(&mut self, fault: &'a Fault) {
        match fault {
            Fault::Body(bytes) => self.content = Content::new(bytes.clone(), CHANGED),
            Fault::Etag(etag) => etag.clone_into(&mut self.content.etag),
            Fault::NoValidators => self.validators = false,
            Fault::IgnoreRange => self.ranges = Ranges::Ignored,
            Fault::RefuseRange => self.ranges = Ranges::Refused,
            Fault::ContentRange(text) => self.content_range = Some(text),
            Fault::RangeFrom(first) => self.from = Some(*first),
            _ => {}
        }
    }

    /// The whole file, the part that was asked for, or the refusal of a part that is not there.
    fn part(&self, content_type: &str, request: &Request) -> Reply {
        let Content { bytes, etag, modified } = &self.content;
        let known = [etag.as_str(), modified];
        let asked = match self.ranges {
            Ranges::Ignored => Asked::Whole,
            Ranges::Known => range::asked(request, bytes.len(), if self.validators { &known } else { &[] }),
            Ranges::Refused if request.header("range").is_some() => Asked::NotThere,
            Ranges::Refused => Asked::Whole,
        };
        let part = match asked {
            Asked::Whole => {
                return Reply::new(200, content_type, bytes.clone()).header("accept-ranges", "bytes");
            }
            Asked::NotThere => {
                let total = format!("bytes */{}", bytes.len());
                return Reply::html(416, "<html>no such range").header("content-range", &total);
            }
            Asked::Part(part) => self.from.unwrap_or(part.start).min(part.end)..part.end,
        };
        let truth = || format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), bytes.len());
        Reply::new(206, content_type, bytes.slice(part.clone()))
            .header("accept-ranges", "bytes")
            .header("content-range", &self.content_range.map_or_else(truth, str::to_owned))
    }
}
