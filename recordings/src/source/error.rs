//! Why a recording could not be downloaded, and what that means for a job.

use std::time::Duration;

use bedel_fetch::FetchError;
use bedel_queue::JobError;

/// Pause before a live recording is checked again.
const LIVE_PAUSE: Duration = Duration::from_secs(120);

/// Why a recording could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A request failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The local disk failed.
    #[error("the local disk could not be used")]
    Disk(#[from] std::io::Error),
    /// The playlist cannot be parsed.
    #[error("the recording's playlist could not be read")]
    Unreadable,
    /// The playlist has something that recordings do not need.
    #[error("the recording's playlist has {what}")]
    Refused {
        /// What, for the text.
        what: &'static str,
    },
    /// No stream has sound.
    #[error("none of the recording's streams has sound")]
    NoSound,
    /// The recording has no end yet.
    #[error("the recording is still going on")]
    Live,
    /// The playlist marks a gap.
    #[error("the recording has a gap: its server says that a part of it is missing")]
    Gap,
    /// Encrypted, and not with a plain AES-128 key.
    #[error("the recording is protected against copying")]
    Protected,
    /// A segment is missing, even after retries.
    #[error("{host} does not have part {number} of {of} of the recording")]
    Missing {
        /// The server.
        host: String,
        /// Number of the segment, from 1.
        number: usize,
        /// Number of segments.
        of: usize,
    },
    /// A segment is not intact media.
    #[error("part {number} of {of} of the recording is damaged")]
    Damaged {
        /// Number of the segment, from 1.
        number: usize,
        /// Number of segments.
        of: usize,
    },
    /// The key has a wrong length.
    #[error("the key of the recording's encryption is not 16 bytes long")]
    Key,
}

impl SourceError {
    /// The decision for the job, whose group is `host`. Another machine behind the same host may have a missing segment, so it is
    /// retried while `retries_left`.
    pub fn decide(self, host: &str, retries_left: bool) -> JobError {
        let text = self.to_string();
        let error = match self {
            Self::Fetch(error) => return error.for_group(host),
            Self::Disk(error) => return FetchError::disk(&error).into(),
            Self::Unreadable => JobError::retry("playlist", with_remedy(&text)),
            Self::Refused { .. } => JobError::fatal(
                "playlist-refused",
                format!("{text}, which is not accepted. Send the recording again from its Panopto page."),
            ),
            Self::NoSound => {
                JobError::fatal("no-audio", format!("{text}. Send the stream that carries the sound."))
            }
            Self::Live => JobError::wait(
                "live",
                format!("{text}. It is checked again until it has ended; there is nothing to do."),
                LIVE_PAUSE,
            ),
            Self::Gap => JobError::fatal(
                "incomplete",
                format!("{text}. Ask its owner, and use retry once it is whole."),
            ),
            Self::Protected => JobError::fatal(
                "protected",
                format!("{text}. Ask its owner to allow its download, and send it again."),
            ),
            Self::Missing { .. } if retries_left => JobError::retry("segment-missing", format!("{text}.")),
            Self::Missing { .. } => JobError::fatal(
                "segment-missing",
                format!("{text}. Check that it plays to its end in your browser, then use retry."),
            ),
            Self::Damaged { .. } => JobError::retry("segment-damaged", with_remedy(&text)),
            Self::Key => JobError::retry(
                "key",
                format!(
                    "{text}. If this lecture ends as failed, send the recording again from its Panopto page."
                ),
            ),
        };
        // A host that sent a playlist is up.
        error.clears_group()
    }
}

/// Adds the remedy to a failure that may pass.
fn with_remedy(text: &str) -> String {
    format!(
        "{text}. If this lecture ends as failed, check that the recording plays in your browser, then use retry."
    )
}
