//! What can go wrong with a request, and what follows from it for a job.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bedel_queue::JobError;
use url::Url;

use super::body::BodyKind;
use super::resolver::SpecialAddress;
use super::rules::{self, UrlRefusal};

/// How long we stay away from a server that says "too many requests" without saying how long.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(60);

/// Why a request brought nothing usable. Texts name the host at most, never a path or a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields say what they are: host, limits in bytes and seconds")]
pub enum FetchError {
    /// The URL, or where it led, breaks a rule. Nothing was asked there.
    #[error("the address was not fetched: {0}")]
    Refused(#[from] UrlRefusal),
    /// No connection, or it broke.
    #[error("{host} could not be reached ({reason})")]
    Network { host: String, reason: String },
    /// Nothing came for the stall timeout.
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
    /// Next to nothing came, without falling silent.
    #[error("{host} sent only {bytes} bytes in {seconds} seconds")]
    TooSlow { host: String, bytes: u64, seconds: u64 },
    /// The body is compressed, which was not asked for.
    #[error("{host} sent a compressed body that nobody asked for")]
    Encoded { host: String },
    /// Other bytes came than were asked for.
    #[error("{host} does not send the part of a file that it is asked for")]
    RangeIgnored { host: String },
    /// The body ended before its announced length.
    #[error("{host} sent {received} of {announced} announced bytes")]
    Cut { host: String, received: u64, announced: u64 },
    /// The local file could not be written.
    #[error("the recording could not be written to the local disk ({reason})")]
    Disk { reason: String },
    /// The local disk is full.
    #[error("no space is left on the local disk")]
    DiskFull,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up ({reason})")]
    Client { reason: String },
}

impl FetchError {
    /// True where the same transfer may go on.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Stalled { .. } | Self::TooSlow { .. } | Self::Cut { .. })
    }

    pub(super) fn client(error: &reqwest::Error) -> Self {
        Self::Client { reason: innermost(error) }
    }

    /// An error of the connection. A name that resolves to a special address is told apart: no retry helps it.
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

    /// Trouble with the local disk.
    #[must_use]
    pub fn disk(error: &io::Error) -> Self {
        match error.kind() {
            _ if JobError::is_disk_full(error) => Self::DiskFull,
            kind => Self::Disk { reason: kind.to_string() },
        }
    }
}

/// The text of the innermost cause: "connection refused" says more than "error sending request", and unlike the
/// outer texts it does not hold the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    let text = text.unwrap_or_else(|| "no connection".to_owned());
    // "(os error 111)" says nothing to a student, and the words before it say the same to everybody else.
    let text = text.split(" (os error").next().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(160).collect()
}

impl FetchError {
    /// The decision for a job of this group, a host, with what the error tells of it: that it is down, or that it answered. A
    /// body that was cut off tells neither.
    pub fn for_group(self, group: &str) -> JobError {
        let told = match &self {
            Self::Network { host, .. } | Self::Stalled { host, .. } | Self::TimedOut { host, .. } => {
                Some((host, true))
            }
            Self::Status { host, status, .. } => Some((host, *status >= 500)),
            Self::Login { host }
            | Self::NotMedia { host, .. }
            | Self::TooLarge { host, .. }
            | Self::Encoded { host }
            | Self::RangeIgnored { host } => Some((host, false)),
            _ => None,
        };
        let is_down = told.filter(|(at, _)| *at == group).map(|(_, is_down)| is_down);
        match (is_down, JobError::from(self)) {
            (Some(true), error) => error.blames_group(),
            (Some(false), error) => error.clears_group(),
            (None, error) => error,
        }
    }
}

/// The decision for a job whose caller has nothing to add.
impl From<FetchError> for JobError {
    fn from(error: FetchError) -> Self {
        let text = error.to_string();
        match error {
            FetchError::Refused(_) => {
                Self::fatal("url-refused", format!("{text}. Send the recording again from its Panopto page."))
            }
            FetchError::Network { .. } => Self::retry("network", passing(&text)),
            FetchError::Stalled { .. } | FetchError::TooSlow { .. } => Self::retry("stalled", passing(&text)),
            FetchError::TimedOut { .. } => Self::retry("timeout", passing(&text)),
            FetchError::Cut { .. } => Self::retry("truncated", passing(&text)),
            FetchError::Disk { .. } => Self::retry(
                "disk",
                format!(
                    "{text}. If this lecture ends as failed, use retry later, and tell the operators if it stays."
                ),
            ),
            FetchError::DiskFull => JobError::disk_full(),
            FetchError::Status { status, retry_after, html, .. } => {
                of_status(&text, status, retry_after, html)
            }
            FetchError::Login { .. } => login_required(&text),
            FetchError::TooManyRedirects { .. } => {
                Self::fatal("redirects", format!("{text}. Send the recording again from its Panopto page."))
            }
            FetchError::NotMedia { found: BodyKind::Login, .. } => login_required(&text),
            FetchError::NotMedia { found: BodyKind::Feed, .. } => Self::fatal(
                "not-media",
                format!(
                    "{text}, which is a whole folder. Open one of its recordings in Panopto and submit that one."
                ),
            ),
            FetchError::Encoded { .. } | FetchError::RangeIgnored { .. } => Self::fatal(
                "upstream-refused",
                format!("{text}. Send the recording again from its Panopto page."),
            ),
            FetchError::NotMedia { .. } => Self::fatal(
                "not-media",
                format!("{text}. Check that the recording plays in your browser, then send it again."),
            ),
            FetchError::TooLarge { .. } => Self::fatal(
                "too-large",
                format!(
                    "{text}, which is the largest size accepted here. Ask the operators to accept larger ones, or the \
                     recording's owner for a smaller version."
                ),
            ),
            FetchError::Client { .. } => Self::fatal("http-client", format!("{text}.")),
        }
    }
}

/// Trouble that passes by itself. The same words stand in the lecture while it is tried again and when it was given up.
fn passing(text: &str) -> String {
    format!("{text}. The recording's server has trouble; if this lecture ends as failed, use retry later.")
}

fn of_status(text: &str, status: u16, retry_after: Option<Duration>, html: bool) -> JobError {
    match (status, retry_after) {
        (429, _) => JobError::wait(
            "rate-limited",
            format!("{text}: it is asked too often at the moment."),
            retry_after.unwrap_or(RATE_LIMIT_PAUSE),
        ),
        (503, Some(delay)) => JobError::wait(
            "upstream-busy",
            format!("{text}: it is busy and named a time to come back."),
            delay,
        ),
        (408 | 425 | 500..=599, _) => JobError::retry("upstream-error", passing(text)),
        (401 | 403, _) if html => login_required(text),
        (401 | 403, _) => JobError::fatal(
            "access-denied",
            format!(
                "{text}: the address of the stream has expired or is restricted. Open the recording in your browser \
                 and send it again."
            ),
        ),
        (404 | 410, _) => JobError::fatal(
            "not-found",
            format!("{text}: there is no recording any more. Check in your browser that it still plays."),
        ),
        _ => JobError::fatal(
            "upstream-refused",
            format!("{text}. Send the recording again from its Panopto page."),
        ),
    }
}

/// Nobody is signed in on this server's side and nobody will be: only the student can help.
fn login_required(text: &str) -> JobError {
    JobError::fatal(
        "login-required",
        format!(
            "{text}. Sign in to Panopto and submit again: open the recording in your browser, sign in there and send it \
             from that page, or ask its owner to share it."
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn the_end_of_a_lecture_names_a_remedy() {
        let host = || "host".to_owned();
        let table = [
            (
                FetchError::NotMedia { host: host(), found: BodyKind::Feed },
                "not-media",
                "one of its recordings",
            ),
            (FetchError::TooLarge { host: host(), limit: 1 << 20 }, "too-large", "operators"),
            (FetchError::disk(&ErrorKind::ReadOnlyFilesystem.into()), "disk", "use retry"),
        ];
        for (error, class, remedy) in table {
            let error = JobError::from(error);
            assert_eq!(error.class(), class);
            assert!(error.to_string().contains(remedy), "{error}");
        }
        let full = JobError::from(FetchError::disk(&ErrorKind::StorageFull.into()));
        assert_eq!((full.class(), full.wait_delay()), ("disk-full", Some(JobError::HOST_FAULT_PAUSE)));
    }

    #[test]
    fn an_error_tells_of_the_host_that_it_is_about() {
        let host = || "host".to_owned();
        let status = |status| FetchError::Status { host: host(), status, retry_after: None, html: false };
        let table = [
            (FetchError::Network { host: host(), reason: String::new() }, "Down"),
            (FetchError::Stalled { host: host(), seconds: 1 }, "Down"),
            (FetchError::TimedOut { host: host(), seconds: 1 }, "Down"),
            (status(500), "Down"),
            (status(503), "Down"),
            (status(403), "Up"),
            (status(404), "Up"),
            (status(429), "Up"),
            (FetchError::Login { host: host() }, "Up"),
            (FetchError::NotMedia { host: host(), found: BodyKind::Html }, "Up"),
            (FetchError::Cut { host: host(), received: 1, announced: 2 }, "Unknown"),
            (FetchError::DiskFull, "Unknown"),
            (FetchError::Refused(UrlRefusal::Scheme), "Unknown"),
        ];
        let verdict = |error: &FetchError, host| format!("{:?}", error.clone().for_group(host));
        for (error, told) in table {
            assert!(verdict(&error, "host").contains(told), "{error:?}");
            assert!(
                verdict(&error, "another").contains("Unknown"),
                "{error:?} tells nothing of another host"
            );
        }
    }
}
