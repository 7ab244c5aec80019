//! Fetches a recording with progress, checkpoints, and the decision for the job.

use bedel_fetch::FetchError;
use bedel_queue::{Attempt, JobError};
use bedel_recordings::source::download_dir::DownloadDir;
use bedel_recordings::source::{self, Source, SourceError};
use url::Url;

use super::progress::DownloadProgress;
use crate::environment::Environment;

/// Attempts that look for a missing file or segment: it may be missing only on the machine of the server that answered.
const MISSING_ATTEMPTS: i32 = 3;

/// Downloads the recording at `url` into `place`, after what is there of it. `share` of the job's progress stands for it.
///
/// # Errors
/// The decision for the job. What arrived stays in `place`.
pub(super) async fn fetch(
    env: &Environment,
    attempt: &Attempt,
    url: &Url,
    place: &DownloadDir,
    share: f64,
) -> Result<Source, JobError> {
    let progress = DownloadProgress::new(attempt, share);
    let download = source::download(&env.fetcher, url, place, env.settings.fetch.max_bytes, &progress);
    let outcome = progress.saving(download).await?;
    let retries_left = attempt.number < MISSING_ATTEMPTS;
    match outcome {
        Ok(source) => {
            progress.save().await?;
            Ok(source)
        }
        Err(SourceError::Fetch(error @ FetchError::Status { status: 404, .. })) if retries_left => {
            Err(JobError::retry("not-found", format!("{error}.")).clears_group())
        }
        Err(error) => Err(error.decide(url.host_str().unwrap_or_default(), retries_left)),
    }
}
