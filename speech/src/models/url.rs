//! Models from a web address. What arrived stays in the store as a part until all of it did, so an installation that was interrupted
//! goes on where it broke off.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bedel_fetch::host;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, redirect};
use sha2::{Digest, Sha256};
use url::Url;

use super::ModelError;

/// So many requests in a row may bring nothing.
const IN_VAIN: u32 = 2;

/// Before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Largest file that is taken, in bytes. The largest model has three thousand millions.
const MOST: u64 = 16 << 30;

/// A server that sends nothing for this long has stalled.
const STALLED: Duration = Duration::from_secs(60);

/// A part of a model's file, under the name of its address.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Beside it: the mark of the version that it is a part of.
    mark: PathBuf,
}

impl Part {
    fn of(url: &Url, directory: &Path) -> Self {
        let name = format!(".part-{}", &hex::encode(&Sha256::digest(url.as_str()))[..16]);
        Self { path: directory.join(&name), mark: directory.join(name + ".etag") }
    }

    /// Removes it, whole or not.
    pub(super) fn remove(self) {
        for file in [&self.path, &self.mark] {
            if let Err(error) = fs::remove_file(file) {
                tracing::debug!(%error, "a part of a model is not there");
            }
        }
    }

    /// What is there of it that can be gone on with: bytes, and the version's mark.
    fn begun(&self) -> Option<(u64, String)> {
        let bytes = fs::metadata(&self.path).ok()?.len();
        Some((bytes, fs::read_to_string(&self.mark).ok()?)).filter(|(bytes, _)| *bytes > 0)
    }
}

/// Fetches what is missing of the file at `url`, into a directory that this process alone may change. Blocks.
///
/// # Errors
/// `Fetch`, and the file system's. What arrived stays.
pub(super) fn fetch(url: &Url, directory: &Path) -> Result<Part, ModelError> {
    let part = Part::of(url, directory);
    let failed = |reason: String| ModelError::Fetch { host: host(url), reason };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ModelError::io("start a thread for", directory))?;
    runtime.block_on(async {
        let client = Client::builder()
            .redirect(redirect::Policy::limited(5))
            .https_only(url.scheme() == "https")
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(STALLED)
            .user_agent(concat!("bedel/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(error.without_url().to_string()))?;
        let mut in_vain = 0;
        loop {
            let before = part.begun().map_or(0, |(bytes, _)| bytes);
            let Err(reason) = go_on(&client, url, &part).await? else { return Ok(()) };
            let brought = part.begun().is_some_and(|(bytes, _)| bytes > before);
            in_vain = if brought { 0 } else { in_vain + 1 };
            if in_vain == IN_VAIN {
                return Err(failed(reason));
            }
            tracing::info!(reason, "the model broke off and is gone on with");
            tokio::time::sleep(PAUSE).await;
        }
    })?;
    Ok(part)
}

/// One request. The inner error is the network's or the server's, in words.
async fn go_on(client: &Client, url: &Url, part: &Part) -> Result<Result<(), String>, ModelError> {
    let mut request = client.get(url.clone());
    let begun = part.begun();
    if let Some((bytes, mark)) = &begun {
        request = request.header(RANGE, format!("bytes={bytes}-")).header(IF_RANGE, mark);
    }
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(Err(error.without_url().to_string())),
    };
    let (mut file, mut bytes) = match (response.status(), begun) {
        (StatusCode::PARTIAL_CONTENT, Some((bytes, mark))) if goes_on(&response, bytes, &mark) => {
            let file = File::options().append(true).open(&part.path);
            (file.map_err(ModelError::io("open", &part.path))?, bytes)
        }
        // Another version, or a server that sends all of it.
        (StatusCode::OK, _) => {
            let file = File::create(&part.path).map_err(ModelError::io("make", &part.path))?;
            let mark = response.headers().get(ETAG).and_then(|mark| mark.to_str().ok());
            // A weak mark does not tell bytes apart; without one nobody goes on.
            let mark = mark.filter(|mark| mark.starts_with('"')).unwrap_or_default();
            match mark.is_empty() {
                true => drop(fs::remove_file(&part.mark)),
                false => fs::write(&part.mark, mark).map_err(ModelError::io("write", &part.mark))?,
            }
            (file, 0)
        }
        (status, begun) => {
            // There is nothing behind what is there, or it is a part of another version: it is begun anew.
            if begun.is_some() && matches!(status.as_u16(), 206 | 416) {
                drop(fs::remove_file(&part.mark));
            }
            return Ok(Err(format!("it answered with status {status}")));
        }
    };
    let end = response.content_length().map(|left| bytes + left);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                file.write_all(&chunk).map_err(ModelError::io("write", &part.path))?;
                bytes += chunk.len() as u64;
                if bytes > MOST {
                    drop(fs::remove_file(&part.mark));
                    let reason = format!("it is larger than {} GiB", MOST >> 30);
                    return Err(ModelError::Fetch { host: host(url), reason });
                }
            }
            Ok(None) if end.is_none_or(|end| end == bytes) => return Ok(Ok(())),
            Ok(None) => return Ok(Err("it ended too early".to_owned())),
            Err(error) => return Ok(Err(error.without_url().to_string())),
        }
    }
}

/// Whether what comes is the rest of the version that is begun, whatever the server makes of the question.
fn goes_on(response: &Response, bytes: u64, mark: &str) -> bool {
    let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let begins = header(CONTENT_RANGE).is_some_and(|range| range.starts_with(&format!("bytes {bytes}-")));
    begins && header(ETAG).is_none_or(|etag| etag == mark)
}
