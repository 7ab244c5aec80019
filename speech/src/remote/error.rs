//! Errors of speech servers, and what they mean for a job.

use std::time::Duration;

use bedel_queue::JobError;

/// Pause before a retry of an unreachable or busy server that does not say how long to wait.
const PAUSE: Duration = Duration::from_secs(30);

/// Longest pause after unanswered calls.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Pause before the next attempt polls a slow task again.
const TASK_PAUSE: Duration = Duration::from_secs(120);

/// Why a speech server returned no transcript. Texts name the host, never a path or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "field names say it: the host, and the server's words as detail")]
pub enum RemoteError {
    /// No connection.
    #[error("the speech server {host} could not be reached")]
    Unreachable { host: String },
    /// A call without an answer (broken connection, 502, 504, 520 to 524). The server may have done the work;
    /// `calls` may have been paid for by now.
    #[error("the speech server {host} did not answer ({reason})")]
    BrokeOff { host: String, reason: String, calls: u32 },
    /// Too many calls for one chunk may have been paid for without a result.
    #[error("{calls} calls to the speech server {host} for the same audio failed")]
    TooOften { host: String, calls: u32 },
    /// It is busy, perhaps with the same request (409, 429, 503).
    #[error("the speech server {host} is busy (status {status}): {detail}")]
    Busy { host: String, status: u16, after: Option<Duration>, detail: String },
    /// It denies access (401, 402, 403).
    #[error("the speech server {host} denies access (status {status}); check its key")]
    NotAllowed { host: String, status: u16 },
    /// The address is not a speech server's: an unexpected status, a redirect, or a web page.
    #[error("no speech server at the address configured for {host} (status {status}): {detail}")]
    NotThere { host: String, status: u16, detail: String },
    /// The upload is too large (413).
    #[error("the speech server {host} rejects an upload of {bytes} bytes; lower its upload limit")]
    TooLarge { host: String, bytes: u64 },
    /// It rejected the request, or failed while processing it.
    #[error("the speech server {host} failed (status {status}): {detail}")]
    Failed { host: String, status: u16, detail: String },
    /// The answer contains no transcript.
    #[error("the speech server {host} answered without a transcript: {detail}")]
    Garbled { host: String, detail: String },
    /// It says that it heard less than it was sent.
    #[error(
        "the speech server {host} heard {:.1} of the {:.1} seconds that it was sent; check its limit for the length of audio",
        heard.as_secs_f64(), sent.as_secs_f64()
    )]
    HeardLess { host: String, sent: Duration, heard: Duration },
    /// It places words behind the end of what it was sent.
    #[error(
        "the speech server {host} placed words at {:.1} seconds, but was sent {:.1} seconds",
        last.as_secs_f64(), sent.as_secs_f64()
    )]
    BehindEnd { host: String, sent: Duration, last: Duration },
    /// For too long, a task is in a state that no known server has, or has ended without a transcript.
    #[error("the speech server {host} reports the state {state:?} and no transcript for {seconds} seconds")]
    UnknownState { host: String, state: String, seconds: u64 },
    /// No answer within the timeout.
    #[error("the speech server {host} did not answer within {seconds} seconds")]
    TimedOut { host: String, seconds: u64 },
    /// A task still runs after its timeout. It keeps running.
    #[error("the speech server {host} is still working after {seconds} seconds")]
    StillRunning { host: String, seconds: u64 },
}

impl RemoteError {
    /// True if polling again soon may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BrokeOff { .. } | Self::Busy { .. } => true,
            Self::TimedOut { .. } | Self::Garbled { .. } => true,
            Self::Failed { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// True if the call certainly cost nothing.
    pub(super) fn is_free(&self) -> bool {
        let is_away = matches!(self, Self::Unreachable { .. } | Self::Busy { .. });
        is_away || matches!(self, Self::NotAllowed { .. } | Self::NotThere { .. } | Self::TooLarge { .. })
    }

    /// True if the call certainly has no result.
    pub(super) fn is_final(&self) -> bool {
        let is_unusable = matches!(self, Self::HeardLess { .. } | Self::BehindEnd { .. });
        is_unusable || matches!(self, Self::Failed { .. } | Self::Garbled { .. } | Self::UnknownState { .. })
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { after, .. } => *after,
            _ => None,
        }
    }
}

/// An error that does not depend on the recording spends no attempt: the lecture waits, and finished pieces
/// stay stored.
impl From<RemoteError> for JobError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Unreachable { .. } => Self::wait(
                "engine-away",
                "The speech server cannot be reached. This lecture continues once it can; if it ends as failed, tell the operators \
                 and use retry.",
                PAUSE,
            ),
            // Each call may cost money, so the pauses grow.
            RemoteError::BrokeOff { calls, .. } => Self::wait(
                "engine-away",
                "The speech server did not answer. This lecture continues once it does; if it ends as failed, tell the \
                 operators and use retry.",
                PAUSE.saturating_mul(4_u32.saturating_pow(calls.saturating_sub(1))).min(MAX_PAUSE),
            ),
            RemoteError::TooOften { .. } => Self::fatal(
                "engine",
                "Several calls to the speech server failed. Tell the operators, and use retry later.",
            ),
            RemoteError::Busy { after, .. } => Self::wait(
                "engine-busy",
                "The speech server is busy. This lecture continues once it is free; if it ends as failed, use retry later.",
                after.unwrap_or(PAUSE),
            ),
            RemoteError::StillRunning { .. } => Self::wait(
                "engine-busy",
                "The speech server is still working. This lecture continues once it has finished; if it ends as failed, use \
                 retry later.",
                TASK_PAUSE,
            ),
            RemoteError::NotAllowed { .. } | RemoteError::NotThere { .. } | RemoteError::TooLarge { .. } => {
                JobError::host_fault(
                    "engine-refused",
                    "The speech server rejects requests because of a setting. This lecture continues once that is corrected; \
                     if it ends as failed, tell the operators and use retry.",
                )
            }
            RemoteError::HeardLess { sent, heard, .. } => Self::retry(
                "engine",
                format!(
                    "The speech server heard {:.1} of the {:.1} seconds that it was sent. If this lecture ends as failed, tell \
                     the operators, and use retry once the server takes longer recordings.",
                    heard.as_secs_f64(),
                    sent.as_secs_f64()
                ),
            ),
            RemoteError::BehindEnd { sent, last, .. } => Self::retry(
                "engine",
                format!(
                    "The speech server placed words at {:.1} seconds, but was sent {:.1} seconds. If this lecture ends as \
                     failed, tell the operators, and use retry later.",
                    last.as_secs_f64(),
                    sent.as_secs_f64()
                ),
            ),
            RemoteError::UnknownState { seconds, .. } => Self::retry(
                "engine",
                format!(
                    "For {seconds} seconds, the speech server reported a state that is not known, or an end without a \
                     transcript. If this lecture ends as failed, tell the operators, and use retry later."
                ),
            ),
            RemoteError::Failed { .. } | RemoteError::Garbled { .. } | RemoteError::TimedOut { .. } => {
                Self::retry(
                    "engine",
                    "The recording could not be transcribed by the speech server. If this lecture ends as failed, use retry \
                     later, and tell the operators if it fails again.",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_errors_map_to_job_errors() {
        let host = || "gpu:8000".to_owned();
        let detail = || "/secret/path".to_owned();
        let minute = Duration::from_secs(60);
        let broke_off = |calls| RemoteError::BrokeOff { host: host(), reason: detail(), calls };
        let busy = |after| RemoteError::Busy { host: host(), status: 429, after, detail: detail() };
        for (error, class, wait) in [
            (RemoteError::Unreachable { host: host() }, "engine-away", Some(PAUSE)),
            (broke_off(1), "engine-away", Some(PAUSE)),
            (broke_off(3), "engine-away", Some(PAUSE * 16)),
            (broke_off(99), "engine-away", Some(MAX_PAUSE)),
            (busy(None), "engine-busy", Some(PAUSE)),
            (busy(Some(minute)), "engine-busy", Some(minute)),
            (RemoteError::StillRunning { host: host(), seconds: 1 }, "engine-busy", Some(TASK_PAUSE)),
            (
                RemoteError::NotAllowed { host: host(), status: 401 },
                "engine-refused",
                Some(JobError::HOST_FAULT_PAUSE),
            ),
            (
                RemoteError::NotThere { host: host(), status: 404, detail: detail() },
                "engine-refused",
                Some(JobError::HOST_FAULT_PAUSE),
            ),
            (
                RemoteError::TooLarge { host: host(), bytes: 1 },
                "engine-refused",
                Some(JobError::HOST_FAULT_PAUSE),
            ),
            (RemoteError::Failed { host: host(), status: 500, detail: detail() }, "engine", None),
            (RemoteError::Garbled { host: host(), detail: detail() }, "engine", None),
            (RemoteError::TimedOut { host: host(), seconds: 1 }, "engine", None),
            (RemoteError::HeardLess { host: host(), sent: minute, heard: minute / 2 }, "engine", None),
            (RemoteError::BehindEnd { host: host(), sent: minute, last: minute * 2 }, "engine", None),
            (RemoteError::UnknownState { host: host(), state: detail(), seconds: 600 }, "engine", None),
        ] {
            let shown = error.to_string();
            let job = JobError::from(error);
            assert_eq!((job.class(), job.wait_delay(), job.is_fatal()), (class, wait, false), "{shown}");
            let text = job.to_string();
            assert!(text.contains("retry") && !text.contains("secret") && !text.contains("gpu"), "{text}");
        }
        let often = JobError::from(RemoteError::TooOften { host: host(), calls: 6 });
        assert!(often.is_fatal() && often.to_string().contains("retry"), "{often}");
    }
}
