//! What can go wrong with a speech server, and what follows from it for a job.

use std::time::Duration;

use bedel_queue::JobError;

/// How long we stay away from a server that cannot be reached or has no time, where it does not say how long.
const PAUSE: Duration = Duration::from_secs(30);

/// Longest pause after calls that were not answered.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long until a task that takes its time is looked at again.
const LATER: Duration = Duration::from_secs(120);

/// Why a speech server gave no transcript. Texts name the host at most, never a path or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields say what they are: host, the server's own words")]
pub enum RemoteError {
    /// No connection.
    #[error("the speech server {host} could not be reached")]
    Unreachable { host: String },
    /// It was asked, and no answer came (a connection that broke, 502, 504, 520 to 524): it may have done the work. So many calls may have been
    /// paid by now.
    #[error("the speech server {host} was asked and did not answer ({reason})")]
    BrokeOff { host: String, reason: String, calls: u32 },
    /// So many calls for one chunk may have been paid, and nothing came of them.
    #[error("the speech server {host} was asked {calls} times for the same and nothing came of it")]
    TooOften { host: String, calls: u32 },
    /// It has no time, or is at it already (409, 429, 503).
    #[error("the speech server {host} has no time (status {status}): {detail}")]
    Busy { host: String, status: u16, after: Option<Duration>, detail: String },
    /// It does not let us in (401, 402, 403).
    #[error("the speech server {host} does not let us in (status {status}); check its key")]
    NotAllowed { host: String, status: u16 },
    /// There is no speech server at this address: another status than its own, a redirect, or a web page.
    #[error("there is no speech server at the address that is set for {host} (status {status}): {detail}")]
    NotThere { host: String, status: u16, detail: String },
    /// It takes no upload of this size (413).
    #[error("the speech server {host} takes no upload of {bytes} bytes; set its largest upload lower")]
    TooLarge { host: String, bytes: u64 },
    /// It does not accept what it was sent, or failed at it.
    #[error("the speech server {host} failed (status {status}): {detail}")]
    Failed { host: String, status: u16, detail: String },
    /// Its answer is no transcript.
    #[error("the speech server {host} gave an answer without a transcript: {detail}")]
    Garbled { host: String, detail: String },
    /// Nothing came in the time that was set for so much sound.
    #[error("the speech server {host} did not answer within {seconds} seconds")]
    TimedOut { host: String, seconds: u64 },
    /// A task is still under way after the time that was set for so much sound. It goes on.
    #[error("the speech server {host} is still at it after {seconds} seconds")]
    StillRunning { host: String, seconds: u64 },
}

impl RemoteError {
    /// True where asking for a task again soon may well help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BrokeOff { .. } | Self::Busy { .. } => true,
            Self::TimedOut { .. } | Self::Garbled { .. } => true,
            Self::Failed { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// True where nothing was done that anybody would have to pay for.
    pub(super) fn is_unpaid(&self) -> bool {
        let has_no_time = matches!(self, Self::Unreachable { .. } | Self::Busy { .. });
        has_no_time || matches!(self, Self::NotAllowed { .. } | Self::NotThere { .. } | Self::TooLarge { .. })
    }

    /// True where it is certain that nothing will come of the call any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Garbled { .. })
    }

    /// How long the server asks us to stay away.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Busy { after, .. } => *after,
            _ => None,
        }
    }
}

/// What says nothing about the recording spends no attempt: the finished pieces are kept, and the lecture waits.
impl From<RemoteError> for JobError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Unreachable { .. } => Self::wait(
                "engine-away",
                "The speech server cannot be reached. This lecture goes on once it can; if it ends as failed, tell the operators and \
                 use retry.",
                PAUSE,
            ),
            // Each time it may be paid for, so the server gets more and more time to come to itself.
            RemoteError::BrokeOff { calls, .. } => Self::wait(
                "engine-away",
                "The speech server was asked and did not answer. This lecture goes on once it does; if it ends as failed, tell the \
                 operators and use retry.",
                PAUSE.saturating_mul(4_u32.saturating_pow(calls.saturating_sub(1))).min(LONGEST),
            ),
            RemoteError::TooOften { .. } => Self::fatal(
                "engine",
                "The speech server was asked several times and nothing came of it. Tell the operators, and use retry later.",
            ),
            RemoteError::Busy { after, .. } => Self::wait(
                "engine-busy",
                "The speech server has no time. This lecture goes on once it has; if it ends as failed, use retry later.",
                after.unwrap_or(PAUSE),
            ),
            RemoteError::StillRunning { .. } => Self::wait(
                "engine-busy",
                "The speech server is still at it. This lecture goes on once it has finished; if it ends as failed, use retry later.",
                LATER,
            ),
            RemoteError::NotAllowed { .. } | RemoteError::NotThere { .. } | RemoteError::TooLarge { .. } => {
                JobError::host_fault(
                    "engine-refused",
                    "The speech server does not take what it is sent, because of a setting. This lecture goes on once that is corrected; \
                 if it ends as failed, tell the operators and use retry.",
                )
            }
            RemoteError::Failed { .. } | RemoteError::Garbled { .. } | RemoteError::TimedOut { .. } => {
                Self::retry(
                    "engine",
                    "The recording could not be transcribed by the speech server. If this lecture ends as failed, use retry later, and \
                 tell the operators if it stays.",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_decides_by_itself() {
        let host = || "gpu:8000".to_owned();
        let detail = || "/secret/path".to_owned();
        let minute = Duration::from_secs(60);
        let broke_off = |calls| RemoteError::BrokeOff { host: host(), reason: detail(), calls };
        let busy = |after| RemoteError::Busy { host: host(), status: 429, after, detail: detail() };
        for (error, class, wait) in [
            (RemoteError::Unreachable { host: host() }, "engine-away", Some(PAUSE)),
            (broke_off(1), "engine-away", Some(PAUSE)),
            (broke_off(3), "engine-away", Some(PAUSE * 16)),
            (broke_off(99), "engine-away", Some(LONGEST)),
            (busy(None), "engine-busy", Some(PAUSE)),
            (busy(Some(minute)), "engine-busy", Some(minute)),
            (RemoteError::StillRunning { host: host(), seconds: 1 }, "engine-busy", Some(LATER)),
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
