//! Fetches a recording with progress and checkpoints, and turns its errors into the job's.

use bedel_fetch::FetchError;
use bedel_queue::{Attempt, JobError};
use bedel_recordings::source::download_dir::DownloadDir;
use bedel_recordings::source::{self, Source, SourceError};
use url::Url;

use super::progress::DownloadProgress;
use crate::environment::Environment;

/// Failed attempts before a missing file or segment is fatal: it may be missing on only one of the server's
/// machines.
const MAX_MISSING_ATTEMPTS: i32 = 3;

/// The job's progress once the source is fetched. Extracting takes little time in comparison.
pub(super) const PROGRESS_FETCHED: f64 = 0.9;

/// The URL, if the rules allow it.
pub(super) fn check(env: &Environment, url: &str) -> Result<Url, JobError> {
    Ok(env.settings.fetch.check(url).map_err(FetchError::from)?)
}

/// Downloads the recording at `url` into `download_dir`, resuming what it holds. The job's progress grows up
/// to [`PROGRESS_FETCHED`].
///
/// # Errors
/// The job's error. The fetched files stay in `download_dir`.
pub(super) async fn fetch(
    env: &Environment,
    attempt: &Attempt,
    url: &Url,
    download_dir: &DownloadDir,
) -> Result<Source, JobError> {
    let progress = DownloadProgress::new(attempt, PROGRESS_FETCHED);
    let download = source::download(&env.fetcher, url, download_dir, env.settings.fetch.max_bytes, &progress);
    let outcome = progress.save_while(download).await?;
    let retries_left = attempt.errors + 1 < MAX_MISSING_ATTEMPTS;
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
