//! A running download's progress, and its checkpoint of what is already fetched.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bedel_queue::{Attempt, JobError};
use bedel_recordings::source::Progress;
use serde::{Deserialize, Serialize};

/// Time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// State of a download. A later attempt on the same host resumes from the files on its disk. The checkpoint
/// is for operators, and for the queue: a crash does not count if the checkpoint advanced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "source")]
pub enum Checkpoint {
    /// One file.
    File {
        /// Bytes fetched.
        bytes: u64,
        /// Total bytes, if the server announced them.
        of: Option<u64>,
    },
    /// The segments of a playlist.
    Segments {
        /// Fetched segments, counted from 0, such as `0-411,413`.
        finished: String,
        /// Total segments.
        of: usize,
    },
}

/// Reports an attempt's progress and saves its checkpoints.
pub(super) struct DownloadProgress<'a> {
    attempt: &'a Attempt,
    /// The job's progress at the end of the download.
    share: f64,
    state: Mutex<State>,
}

enum State {
    NotStarted,
    File { bytes: u64, of: Option<u64> },
    Segments(Vec<bool>),
}

impl<'a> DownloadProgress<'a> {
    pub(super) fn new(attempt: &'a Attempt, share: f64) -> Self {
        Self { attempt, share, state: Mutex::new(State::NotStarted) }
    }

    /// Runs `work` and saves checkpoints meanwhile. A database outage does not interrupt `work`.
    ///
    /// # Errors
    /// `lost-lease`, after dropping `work`.
    pub(super) async fn save_while<T>(&self, work: impl Future<Output = T>) -> Result<T, JobError> {
        let saves = async {
            loop {
                tokio::time::sleep(CHECKPOINT_INTERVAL).await;
                if let Err(error) = self.save().await {
                    return error;
                }
            }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            error = saves => return Err(error),
        };
        Ok(outcome)
    }

    /// Saves a checkpoint now.
    pub(super) async fn save(&self) -> Result<(), JobError> {
        match self.checkpoint() {
            Some(checkpoint) => self.attempt.save_checkpoint(&checkpoint).await,
            None => Ok(()),
        }
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        match &*self.state() {
            State::NotStarted => None,
            State::File { bytes, of } => Some(Checkpoint::File { bytes: *bytes, of: *of }),
            State::Segments(finished) => {
                Some(Checkpoint::Segments { finished: ranges(finished), of: finished.len() })
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for DownloadProgress<'_> {
    fn bytes(&self, bytes: u64, of: Option<u64>) {
        *self.state() = State::File { bytes, of };
        if let Some(of) = of.filter(|&of| of > 0) {
            self.attempt.set_progress(bytes as f64 / of as f64 * self.share);
        }
    }

    fn begin_segments(&self, count: usize) {
        *self.state() = State::Segments(vec![false; count]);
    }

    fn segment(&self, number: usize) {
        let mut state = self.state();
        let State::Segments(finished) = &mut *state else { return };
        finished[number] = true;
        let done = finished.iter().filter(|done| **done).count();
        self.attempt.set_progress(done as f64 / finished.len() as f64 * self.share);
    }
}

/// The true indices as ranges, such as `0-411,413`.
fn ranges(finished: &[bool]) -> String {
    let mut text = Vec::new();
    let mut number = 0;
    while number < finished.len() {
        let length = finished[number..].iter().take_while(|done| **done).count();
        match length {
            0 => {}
            1 => text.push(number.to_string()),
            _ => text.push(format!("{number}-{}", number + length - 1)),
        }
        number += length + 1;
    }
    text.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_segments_are_listed_as_ranges() {
        let listed = |text: &str| ranges(&text.chars().map(|c| c == '1').collect::<Vec<_>>());
        for (finished, expected) in [
            ("", ""),
            ("000", ""),
            ("1", "0"),
            ("0110", "1-2"),
            ("1101", "0-1,3"),
            ("111", "0-2"),
            ("10001", "0,4"),
        ] {
            assert_eq!(listed(finished), expected, "{finished}");
        }
    }
}
