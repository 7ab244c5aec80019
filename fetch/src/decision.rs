//! What a failed request means for a job: retry, wait or give up, with a text for the student.

use std::time::Duration;

use bedel_queue::JobError;

use super::body::BodyKind;
use super::error::FetchError;

/// Pause after status 429 without `Retry-After`.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(60);

impl FetchError {
    /// The decision for a job of this group, a host. The decision blames the group where the host is down, and clears it where
    /// the host answered. A truncated body does neither.
    pub fn for_group(self, group: &str) -> JobError {
        let host_state = match &self {
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
        let is_down = host_state.filter(|(at, _)| *at == group).map(|(_, is_down)| is_down);
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

/// A passing failure. A lecture shows the same text between attempts and after the last one.
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

/// This server has no account at the host: only the student can help.
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
    use crate::rules::UrlRefusal;

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
    fn an_error_blames_or_clears_only_its_own_host() {
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
        for (error, state) in table {
            assert!(verdict(&error, "host").contains(state), "{error:?}");
            assert!(
                verdict(&error, "another").contains("Unknown"),
                "{error:?} says nothing about another host"
            );
        }
    }
}
