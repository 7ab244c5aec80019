//! Models from a web address. An interrupted download resumes at the next installation.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bedel_fetch::{FetchError, FetchPolicy, Fetcher, PartFile, ProxyChoice, RESUME_PAUSE};
use sha2::{Digest, Sha256};
use url::Url;

use super::ModelError;

/// Consecutive requests without a new byte before the download fails.
const MAX_FUTILE_REQUESTS: u32 = 2;

/// Largest model file, in bytes. The largest known model has 3 GB.
const MAX_BYTES: u64 = 16 << 30;

/// Redirects followed: model hosts send downloads to their CDNs.
const MAX_REDIRECTS: usize = 5;

/// Downloads the rest of the file at `url` into `directory`, whose lock is held. `progress` gets the bytes so
/// far, and the size where it is known. Blocks.
///
/// # Errors
/// `Fetch` and `Io`. The bytes received stay for the next call.
pub(super) fn fetch(
    url: &Url,
    directory: &Path,
    lock: &Arc<File>,
    progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
) -> Result<PartFile, ModelError> {
    let path = directory.join(format!(".part-{}", &hex::encode(Sha256::digest(url.as_str()))[..16]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ModelError::io("start a thread for", directory))?;
    runtime.block_on(async {
        let fetcher = Fetcher::new(policy())?;
        let mut part = PartFile::open(&path, lock, url).await.map_err(ModelError::io("open", &path))?;
        let Err(error) = download(&fetcher, url, &mut part, progress).await else { return Ok(part) };
        // Neither can be resumed.
        if part.is_empty() || matches!(error, FetchError::TooLarge { .. }) {
            remove(part);
        }
        Err(error.into())
    })
}

/// Removes a download, complete or not.
pub(super) fn remove(part: PartFile) {
    if let Err(error) = part.remove() {
        tracing::warn!(%error, "the download of a model could not be removed");
    }
}

fn policy() -> FetchPolicy {
    FetchPolicy {
        max_redirects: MAX_REDIRECTS,
        proxy: ProxyChoice::Environment,
        max_bytes: MAX_BYTES,
        ..FetchPolicy::operator()
    }
}

/// Requests the file until it is complete, as long as bytes arrive.
async fn download(
    fetcher: &Fetcher,
    url: &Url,
    part: &mut PartFile,
    progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
) -> Result<(), FetchError> {
    let mut futile_requests = 0;
    loop {
        let before = part.len();
        let Err(error) = fetcher.download(url, part, &mut *progress).await else { return Ok(()) };
        let may_pass = error.is_interruption() || matches!(error, FetchError::Status { .. });
        futile_requests = if part.len() > before { 0 } else { futile_requests + 1 };
        if !may_pass || futile_requests == MAX_FUTILE_REQUESTS {
            return Err(error);
        }
        tracing::info!(%error, "the download of the model broke off and resumes");
        tokio::time::sleep(RESUME_PAUSE).await;
    }
}
