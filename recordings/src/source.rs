//! From the address of a stream to local files that ffmpeg can read.

pub mod download_dir;
mod error;
mod files;
mod hls;

use bedel_fetch::{Fetcher, MediaDownload, PartFile};
use url::Url;

use self::download_dir::DownloadDir;
pub use self::error::SourceError;
pub use self::files::{Progress, Source};

/// Downloads the recording at `url` into `dir`, where an earlier download resumes. `max_bytes` limits the whole recording.
///
/// # Errors
/// Any [`SourceError`]. The bytes received stay in `dir`.
pub async fn download(
    fetcher: &Fetcher,
    url: &Url,
    dir: &DownloadDir,
    max_bytes: u64,
    progress: &impl Progress,
) -> Result<Source, SourceError> {
    let path = dir.join("source");
    let mut part = PartFile::open(&path, dir.lock(), url).await?;
    match fetcher.download_media(url, &mut part, |bytes, total| progress.bytes(bytes, total)).await? {
        MediaDownload::File => Ok(Source { runs: vec![path], announced_seconds: None }),
        MediaDownload::Playlist(body) => hls::download(fetcher, body, dir, max_bytes, progress).await,
    }
}
