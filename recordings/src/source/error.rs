//! Why a playlist's recording could not be brought in.

use std::time::Duration;

use bedel_fetch::FetchError;
use bedel_queue::JobError;

/// Pause before a recording that is still going on is looked at again.
const LIVE_PAUSE: Duration = Duration::from_secs(120);

/// Why a playlist's recording could not be brought in.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A request.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The local disk.
    #[error("the local disk could not be used")]
    Disk(#[from] std::io::Error),
    /// It cannot be read as a playlist.
    #[error("the recording's playlist could not be read")]
    Unreadable,
    /// It asks for more than a recording needs.
    #[error("the recording's playlist has {what}")]
    Refused {
        /// What it has.
        what: &'static str,
    },
    /// Nothing in it has sound.
    #[error("none of the recording's streams has sound")]
    NoSound,
    /// It has no end yet.
    #[error("the recording is still going on")]
    Live,
    /// Its own server says that a part is missing.
    #[error("the recording has a gap: its server says that a part of it is missing")]
    Gap,
    /// Encrypted by other means than a key that anybody gets who may see the recording.
    #[error("the recording is protected against copying")]
    Protected,
    /// A segment is not there, also after several tries.
    #[error("{host} does not have part {number} of {of} of the recording")]
    Missing {
        /// Who was asked.
        host: String,
        /// Which, counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// A segment came, and is not what it should be.
    #[error("part {number} of {of} of the recording is damaged")]
    Damaged {
        /// Which, counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// The key is none.
    #[error("the key of the recording's encryption is not 16 bytes long")]
    Key,
}

impl SourceError {
    /// The decision for the job, whose group is `host`. A part that is missing may only be missing on this one of the server's
    /// machines, so it is looked for again where `looks_left`.
    pub fn decide(self, host: &str, looks_left: bool) -> JobError {
        let text = self.to_string();
        let error = match self {
            Self::Fetch(error) => return error.for_group(host),
            Self::Disk(error) => return FetchError::disk(&error).into(),
            Self::Unreadable => JobError::retry("playlist", look(&text)),
            Self::Refused { .. } => JobError::fatal(
                "playlist-refused",
                format!("{text}, which is not taken. Send the recording again from its Panopto page."),
            ),
            Self::NoSound => {
                JobError::fatal("no-audio", format!("{text}. Send the stream that carries the sound."))
            }
            Self::Live => JobError::wait(
                "live",
                format!("{text}. It is looked at again until it has ended; there is nothing to do."),
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
            Self::Missing { .. } if looks_left => JobError::retry("segment-missing", format!("{text}.")),
            Self::Missing { .. } => JobError::fatal(
                "segment-missing",
                format!("{text}. Check that it plays to its end in your browser, then use retry."),
            ),
            Self::Damaged { .. } => JobError::retry("segment-damaged", look(&text)),
            Self::Key => JobError::retry(
                "key",
                format!(
                    "{text}. If this lecture ends as failed, send the recording again from its Panopto page."
                ),
            ),
        };
        // Whoever sent a playlist is there.
        error.clears_group()
    }
}

/// What may pass by itself, and what to do where it does not.
fn look(text: &str) -> String {
    format!(
        "{text}. If this lecture ends as failed, check that the recording plays in your browser, then use retry."
    )
}
