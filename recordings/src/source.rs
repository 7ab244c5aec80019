//! From the address of a stream to local files that ffmpeg can read.

pub mod download_dir;
mod error;
mod files;
mod hls;

use bedel_fetch::{Arrived, Fetcher, PartFile};
use url::Url;

use self::download_dir::DownloadDir;
pub use self::error::SourceError;
pub use self::files::{Progress, Source};

/// Downloads the recording at `url` into `place`. Resumes after what `place` already has. `max_bytes` limits all of it.
///
/// # Errors
/// What arrived stays in `place`.
pub async fn download(
    fetcher: &Fetcher,
    url: &Url,
    place: &DownloadDir,
    max_bytes: u64,
    progress: &impl Progress,
) -> Result<Source, SourceError> {
    let path = place.join("source");
    let mut part = PartFile::open(&path, place.lock(), url).await?;
    match fetcher.transfer(url, &mut part, |bytes, of| progress.bytes(bytes, of)).await? {
        Arrived::File => Ok(Source { runs: vec![path], announced_seconds: None }),
        Arrived::Playlist(body) => hls::download(fetcher, body, place, max_bytes, progress).await,
    }
}
