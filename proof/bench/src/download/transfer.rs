//! One file, fetched by curl and by the fetcher of download jobs.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bedel_fetch::{FetchPolicy, Fetcher, MediaDownload, PartFile};
use bedel_upstream::Upstream;
use tokio::process::Command;
use url::Url;

use super::materials::{FILE_BYTES, Materials};
use super::pair::{Pair, wrong};
use super::peers;
use crate::error::{BenchError, Result, io, peer};

/// Started by the benchmark: what to fetch.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    url: Url,
    target: PathBuf,
}

/// Fetches a file as a download job does.
pub async fn fetch(args: &FetchArgs) -> Result<()> {
    let host = |url: &Url| Some(format!("{}:{}", url.host_str()?, url.port()?));
    let host = host(&args.url).ok_or_else(|| BenchError::Usage("a URL with host and port".to_owned()))?;
    let policy = FetchPolicy::listed(Vec::new(), vec![host]);
    let lock = File::create(args.target.with_extension("lock")).map_err(io("make a lock"))?;
    let mut part =
        PartFile::open(&args.target, &Arc::new(lock), &args.url).await.map_err(io("make a file"))?;
    let fetcher = Fetcher::new(policy).map_err(peer)?;
    match fetcher.download_media(&args.url, &mut part, |_, _| ()).await.map_err(peer)? {
        MediaDownload::File => Ok(()),
        MediaDownload::Playlist(_) => Err(wrong("a file came as a playlist".to_owned())),
    }
}

pub(super) async fn compare(materials: &Materials, bedel_first: bool) -> Result<Pair> {
    let upstream = Upstream::start().await;
    let url = materials.serve_file(&upstream, "/lecture.mp4");
    let itself = std::env::current_exe().map_err(io("find this program"))?;
    let fetched = async |name: &str, by_bedel: bool| {
        let target = materials.path(name);
        let seconds = if by_bedel {
            let mut command = Command::new(&itself);
            command.arg("fetch").arg(&url).arg(&target);
            peers::timed("bench fetch", command).await?
        } else {
            peers::curl(&url, &target).await?
        };
        let length = std::fs::metadata(&target).map_err(io("look at a file"))?.len();
        if length != FILE_BYTES as u64 {
            return Err(wrong(format!("{length} bytes arrived")));
        }
        // A file that is written over is another matter than a new one.
        for name in [name, "file.lock", "file.about.json"] {
            let _ = std::fs::remove_file(materials.path(name));
        }
        Ok(seconds)
    };
    let pair = Pair::measure(
        bedel_first,
        async || fetched("file.mp4", true).await,
        async || fetched("file.curl", false).await,
    )
    .await?;
    upstream.stop().await;
    Ok(pair)
}
