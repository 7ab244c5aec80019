//! Bringing a recording in: from the address of its stream to local files that ffmpeg can read.

mod hls;
mod told;
pub(crate) mod workplace;

use std::path::PathBuf;

use bedel_queue::{Attempt, JobError};
use url::Url;

pub use self::told::Checkpoint;
use self::told::Told;
use self::workplace::Workplace;
use crate::environment::Environment;
use crate::fetch::{Arrived, FetchError, PartFile};

/// A recording that is here.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its files, one behind another.
    pub(crate) runs: Vec<PathBuf>,
    /// Length in seconds that a playlist promised.
    pub(crate) announced_seconds: Option<f64>,
}

/// Something that is not there may only be not there yet, on this one of the server's machines: so many attempts look.
const LOOKS_FOR_MISSING: i32 = 3;

/// Brings the recording at `url` into `place`, behind what is there of it. `share` of the job's progress stands for it.
///
/// # Errors
/// The decision for the job: retry, wait or give up. What arrived stays in `place`.
pub(crate) async fn bring_in(
    env: &Environment,
    attempt: &Attempt,
    url: &Url,
    place: &Workplace,
    share: f64,
) -> Result<Source, JobError> {
    let told = Told::new(attempt, share);
    let outcome = told.saving(fetch(env, url, place, &told)).await?;
    let looks_left = attempt.number < LOOKS_FOR_MISSING;
    match outcome {
        Ok(source) => {
            told.save().await?;
            Ok(source)
        }
        Err(hls::HlsError::Fetch(error @ FetchError::Status { status: 404, .. })) if looks_left => {
            Err(JobError::retry("not-found", format!("{error}.")).clears_group())
        }
        Err(error) => Err(error.decide(url.host_str().unwrap_or_default(), looks_left)),
    }
}

async fn fetch(
    env: &Environment,
    url: &Url,
    place: &Workplace,
    told: &Told<'_>,
) -> Result<Source, hls::HlsError> {
    let path = place.join("source");
    let mut part = PartFile::open(&path, place.lock(), url).await?;
    match env.fetcher.transfer(url, &mut part, |bytes, of| told.bytes(bytes, of)).await? {
        Arrived::File => Ok(Source { runs: vec![path], announced_seconds: None }),
        Arrived::Playlist(body) => {
            hls::bring_in(&env.fetcher, body, place, told, env.settings.fetch.max_bytes).await
        }
    }
}
