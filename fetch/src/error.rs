//! Why a request failed.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bedel_queue::JobError;
use url::Url;

use super::body::BodyKind;
use super::resolver::SpecialAddress;
use super::rules::{self, UrlRefusal};

/// Why a request failed. Texts name the host at most, never a path or a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields say what they are: host, limits in bytes and seconds")]
pub enum FetchError {
    /// The URL, or a redirect of it, breaks a rule. It was not requested.
    #[error("the address was not fetched: {0}")]
    Refused(#[from] UrlRefusal),
    /// The connection failed or broke.
    #[error("{host} could not be reached ({reason})")]
    Network { host: String, reason: String },
    /// The server was silent for the stall timeout.
    #[error("{host} sent nothing for {seconds} seconds")]
    Stalled { host: String, seconds: u64 },
    /// The whole exchange took longer than its caller allows.
    #[error("{host} did not finish within {seconds} seconds")]
    TimedOut { host: String, seconds: u64 },
    /// Any status but 200.
    #[error("{host} answered with status {status}")]
    Status { host: String, status: u16, retry_after: Option<Duration>, html: bool },
    /// A redirect to a sign-in page, or such a page itself.
    #[error("{host} asks for a login")]
    Login { host: String },
    /// One redirect more than the limit.
    #[error("{host} redirected more than {limit} times")]
    TooManyRedirects { host: String, limit: usize },
    /// The body is not a media file.
    #[error("{host} sent {} instead of a recording", found.describe())]
    NotMedia { host: String, found: BodyKind },
    /// The body is, or says that it is, larger than the limit.
    #[error("{host} sent more than {} MiB", limit / (1024 * 1024))]
    TooLarge { host: String, limit: u64 },
    /// Too few bytes came, without a stall.
    #[error("{host} sent only {bytes} bytes in {seconds} seconds")]
    TooSlow { host: String, bytes: u64, seconds: u64 },
    /// The body is compressed, against the request.
    #[error("{host} sent a compressed body against the request")]
    Encoded { host: String },
    /// The server sent other bytes than the requested range.
    #[error("{host} does not send the requested part of a file")]
    RangeIgnored { host: String },
    /// The body ended before its announced length.
    #[error("{host} sent {received} of {announced} announced bytes")]
    Cut { host: String, received: u64, announced: u64 },
    /// The local file could not be written.
    #[error("the download could not be written to the local disk ({reason})")]
    Disk { reason: String },
    /// The local disk is full.
    #[error("no space is left on the local disk")]
    DiskFull,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up ({reason})")]
    Client { reason: String },
}

impl FetchError {
    /// True where the same download may resume.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Stalled { .. } | Self::TooSlow { .. } | Self::Cut { .. })
    }

    pub(super) fn client(error: &reqwest::Error) -> Self {
        Self::Client { reason: innermost(error) }
    }

    /// An error of the connection. A name that resolves to a special address is a refusal: no retry helps.
    pub(super) fn network(url: &Url, error: &reqwest::Error) -> Self {
        let host = rules::host(url);
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(SpecialAddress(what)) = cause.downcast_ref() {
                return Self::Refused(UrlRefusal::NotPublic { what });
            }
            source = cause.source();
        }
        Self::Network { host, reason: innermost(error) }
    }

    pub(super) fn stalled(url: &Url, limit: Duration) -> Self {
        Self::Stalled { host: rules::host(url), seconds: limit.as_secs() }
    }

    pub(super) fn timed_out(url: &Url, limit: Duration) -> Self {
        Self::TimedOut { host: rules::host(url), seconds: limit.as_secs() }
    }

    pub(super) fn login(url: &Url) -> Self {
        Self::Login { host: rules::host(url) }
    }

    /// An error of the local disk.
    #[must_use]
    pub fn disk(error: &io::Error) -> Self {
        match error.kind() {
            _ if JobError::is_disk_full(error) => Self::DiskFull,
            kind => Self::Disk { reason: kind.to_string() },
        }
    }
}

/// The text of the innermost cause: "connection refused" says more than "error sending request". Unlike the outer texts
/// it does not hold the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    let text = text.unwrap_or_else(|| "no connection".to_owned());
    // "(os error 111)" means nothing to a student, and the words before it say the same.
    let text = text.split(" (os error").next().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(160).collect()
}

/// Accepts media from `host`, and nothing else.
///
/// # Errors
/// `Login` for a login page, otherwise `NotMedia`.
pub fn require_media(kind: BodyKind, host: String) -> Result<(), FetchError> {
    match kind {
        BodyKind::Media => Ok(()),
        BodyKind::Login => Err(FetchError::Login { host }),
        _ => Err(FetchError::NotMedia { host, found: kind }),
    }
}
