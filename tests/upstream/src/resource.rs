//! A file as S3 and CloudFront serve it, with ranges, validators and faults.

mod fault;
mod range;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use fault::Fault;

use crate::reply::Reply;
use crate::request::Request;
use fault::Rule;
use range::RequestedRange;

/// `Last-Modified` of a resource's first content.
const FIRST_MODIFIED: &str = "Tue, 07 Jan 2025 08:00:00 GMT";
/// `Last-Modified` of changed content.
const CHANGED_MODIFIED: &str = "Wed, 08 Jan 2025 09:30:00 GMT";

/// A file on a path: `Range` and `If-Range` (RFC 9110, 13.1.5 and 14), a strong `ETag` of its content,
/// `Last-Modified`.
///
/// Faults apply by the number of the request. Several may apply to one request. A `HEAD` does not count and
/// returns the headers of the next `GET`.
///
/// ```ignore
/// // Delayed by a second each time, cut twice, then a changed file.
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
        let digest = Sha256::digest(&bytes);
        let prefix = digest.first_chunk().copied().expect("32 bytes of SHA-256");
        let etag = format!("\"{:016x}\"", u64::from_be_bytes(prefix));
        Self { bytes, etag, modified }
    }
}

impl Resource {
    /// A file with this content and no faults.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::new(bytes.into(), FIRST_MODIFIED),
            content_type: "video/mp4".to_owned(),
            query: None,
            rules: Vec::new(),
        }
    }

    /// Its `Content-Type`. `video/mp4` by default.
    pub fn content_type(self, content_type: &str) -> Self {
        Self { content_type: content_type.to_owned(), ..self }
    }

    /// Requires exactly this query, such as `Policy=a&Signature=b`. Other requests get status 403, as from
    /// CloudFront after a signature has expired.
    pub fn require_query(self, query: &str) -> Self {
        Self { query: Some(query.to_owned()), ..self }
    }

    /// Applies a fault, or a reply, to the first `count` requests.
    pub fn first(self, count: usize, fault: impl Into<Fault>) -> Self {
        self.with(0..count, fault.into())
    }

    /// Applies a fault, or a reply, to all requests after the first `count`.
    pub fn after(self, count: usize, fault: impl Into<Fault>) -> Self {
        self.with(count..usize::MAX, fault.into())
    }

    /// Applies a fault, or a reply, to every request.
    pub fn always(self, fault: impl Into<Fault>) -> Self {
        self.after(0, fault)
    }

    fn with(mut self, requests: std::ops::Range<usize>, fault: Fault) -> Self {
        self.rules.push(Rule::new(requests, fault));
        self
    }

    /// The `ETag` of the original content.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.content.etag
    }

    /// The reply to the request with this number, counted from 0.
    pub(crate) fn reply(&self, number: usize, request: &Request) -> Reply {
        let faults: Vec<&Fault> = self.rules.iter().filter_map(|rule| rule.fault(number)).collect();
        let reply = self.intact_reply(&faults, request);
        faults.iter().fold(reply, |reply, fault| fault.deliver(reply))
    }

    /// The reply before faults of its delivery.
    fn intact_reply(&self, faults: &[&Fault], request: &Request) -> Reply {
        if self.query.as_deref().is_some_and(|query| query != request.query()) {
            return Reply::new(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>");
        }
        let mut plan = Plan::new(&self.content);
        for fault in faults {
            if let Fault::Reply(reply) = fault {
                return reply.clone();
            }
            plan.apply(fault);
        }
        let reply = plan.reply(&self.content_type, request);
        if !plan.validators {
            return reply;
        }
        reply.header("etag", &plan.content.etag).header("last-modified", plan.content.modified)
    }
}

/// How to answer: the true file, changed by faults.
struct Plan<'a> {
    content: Content,
    validators: bool,
    ranges: Ranges,
    content_range: Option<&'a str>,
    from: Option<usize>,
}

/// How the server treats `Range`.
enum Ranges {
    Supported,
    Ignored,
    Refused,
}

impl<'a> Plan<'a> {
    fn new(content: &Content) -> Self {
        Self {
            content: content.clone(),
            validators: true,
            ranges: Ranges::Supported,
            content_range: None,
            from: None,
        }
    }

    fn apply(&mut self, fault: &'a Fault) {
        match fault {
            Fault::Body(bytes) => self.content = Content::new(bytes.clone(), CHANGED_MODIFIED),
            Fault::Etag(etag) => etag.clone_into(&mut self.content.etag),
            Fault::NoValidators => self.validators = false,
            Fault::IgnoreRange => self.ranges = Ranges::Ignored,
            Fault::RefuseRange => self.ranges = Ranges::Refused,
            Fault::ContentRange(text) => self.content_range = Some(text),
            Fault::RangeFrom(first) => self.from = Some(*first),
            _ => {}
        }
    }

    /// The whole file, the requested range, or status 416 for a range that is not satisfiable.
    fn reply(&self, content_type: &str, request: &Request) -> Reply {
        let Content { bytes, etag, modified } = &self.content;
        let validators = [etag.as_str(), modified];
        let requested = match self.ranges {
            Ranges::Ignored => RequestedRange::Whole,
            Ranges::Supported => {
                range::requested(request, bytes.len(), if self.validators { &validators } else { &[] })
            }
            Ranges::Refused if request.header("range").is_some() => RequestedRange::NotSatisfiable,
            Ranges::Refused => RequestedRange::Whole,
        };
        let part = match requested {
            RequestedRange::Whole => {
                return Reply::new(200, content_type, bytes.clone()).header("accept-ranges", "bytes");
            }
            RequestedRange::NotSatisfiable => {
                let total = format!("bytes */{}", bytes.len());
                return Reply::html(416, "<html>no such range").header("content-range", &total);
            }
            RequestedRange::Part(part) => self.from.unwrap_or(part.start).min(part.end)..part.end,
        };
        let true_range = || format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), bytes.len());
        Reply::new(206, content_type, bytes.slice(part.clone()))
            .header("accept-ranges", "bytes")
            .header("content-range", &self.content_range.map_or_else(true_range, str::to_owned))
    }
}
