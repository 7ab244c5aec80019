//! Fetches all segments, several at a time, with retries. None is skipped.

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bedel_fetch::body::{self, BodyKind};
use bedel_fetch::{FetchError, Fetcher, PartFile, host, require_media};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use url::Url;

use super::decrypt::decrypt;
use super::playlist::{Entry, Piece, Recording};
use super::structure::{self, Transfer};
use crate::source::download_dir::DownloadDir;
use crate::source::error::SourceError;

/// Segments fetched at a time: enough to hide a round trip of 50 ms.
const CONCURRENCY: usize = 8;

/// Largest segment, in bytes.
const MAX_SEGMENT_BYTES: u64 = 512 * 1024 * 1024;

/// Pauses before the retries of one segment within an attempt.
const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// Longest fetch of a key, from connecting to the last byte.
const KEY_TIMEOUT: Duration = Duration::from_secs(60);

/// Directory of the segments.
const DIRECTORY: &str = "segments";

/// File with the fingerprint of their recording.
const FINGERPRINT: &str = "segments.of";

/// Fetches a recording's segments into a download directory.
pub(super) struct Segments<'a> {
    fetcher: &'a Fetcher,
    dir: &'a DownloadDir,
    recording: &'a Recording,
    directory: PathBuf,
    /// Never stored: they unlock the recording.
    keys: Mutex<HashMap<Url, [u8; 16]>>,
    /// Bytes on disk.
    bytes: AtomicU64,
    max_bytes: u64,
}

impl<'a> Segments<'a> {
    /// Keeps the segments of an earlier attempt if they belong to the same recording.
    pub(super) async fn prepare(
        fetcher: &'a Fetcher,
        dir: &'a DownloadDir,
        recording: &'a Recording,
        max_bytes: u64,
    ) -> Result<Self, SourceError> {
        let directory = dir.join(DIRECTORY);
        let known = tokio::fs::read_to_string(dir.join(FINGERPRINT)).await.unwrap_or_default();
        if known != recording.fingerprint {
            match tokio::fs::remove_dir_all(&directory).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => tokio::fs::write(dir.join(FINGERPRINT), &recording.fingerprint).await?,
            }
        }
        tokio::fs::create_dir_all(&directory).await?;
        let (keys, bytes) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { fetcher, dir, recording, directory, keys, bytes, max_bytes })
    }

    /// The numbers of finished segments. Files that a failing disk left empty do not count.
    pub(super) async fn finished(&self) -> Result<HashSet<usize>, SourceError> {
        let mut finished = HashSet::new();
        let mut entries = tokio::fs::read_dir(&self.directory).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            match (number, entry.metadata().await?.len()) {
                (Some(number), 1..) if number < self.recording.entries.len() => {
                    finished.insert(number);
                }
                // An attempt ended while it wrote this.
                _ => tokio::fs::remove_file(entry.path()).await?,
            }
        }
        Ok(finished)
    }

    /// The file of a segment.
    pub(super) fn path(&self, number: usize) -> PathBuf {
        self.directory.join(format!("{number:06}"))
    }

    /// Fetches the missing segments. Calls `done` with the number of each finished segment.
    pub(super) async fn fetch(
        &self,
        finished: &HashSet<usize>,
        done: impl Fn(usize) + Sync,
    ) -> Result<(), SourceError> {
        for &number in finished {
            self.count(tokio::fs::metadata(self.path(number)).await?.len())?;
            done(number);
        }
        let missing = (0..self.recording.entries.len()).filter(|number| !finished.contains(number));
        let done = &done;
        stream::iter(missing)
            .map(|number| async move {
                self.fetch_with_retries(number).await?;
                done(number);
                Ok(())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    async fn fetch_with_retries(&self, number: usize) -> Result<(), SourceError> {
        let mut pauses = RETRY_PAUSES.iter();
        loop {
            let error = match self.fetch_segment(number).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let may_pass = match &error {
                SourceError::Damaged { .. } => true,
                SourceError::Fetch(FetchError::Status { status, .. }) => {
                    matches!(status, 403 | 404 | 408 | 410 | 500..=599)
                }
                SourceError::Fetch(error) => error.is_interruption(),
                _ => false,
            };
            match pauses.next() {
                Some(pause) if may_pass => tokio::time::sleep(*pause).await,
                _ => return Err(self.missing_or(error, number)),
            }
        }
    }

    /// Turns status 404 and 410 into a missing segment; other errors stay.
    fn missing_or(&self, error: SourceError, number: usize) -> SourceError {
        match error {
            SourceError::Fetch(FetchError::Status { host, status: 404 | 410, .. }) => {
                SourceError::Missing { host, number: number + 1, of: self.recording.entries.len() }
            }
            error => error,
        }
    }

    async fn fetch_segment(&self, number: usize) -> Result<(), SourceError> {
        let entry = &self.recording.entries[number];
        let piece = entry.piece();
        let partial = self.directory.join(format!("{number:06}.part"));
        let mut part = PartFile::create(&partial, self.dir.lock()).await?;
        let has_end =
            self.fetcher.download_once(&piece.url, piece.range, &mut part, MAX_SEGMENT_BYTES).await?;
        drop(part);
        // Packagers that leave the map in the clear put its tag behind the key's all the same.
        let is_clear = matches!(entry, Entry::Map(_))
            && body::sniff(&read_head(&partial).await?, None) == BodyKind::Media;
        let mut has_wrong_padding = false;
        let segment = match piece.cipher.as_ref().filter(|_| !is_clear) {
            None => partial,
            Some(cipher) => {
                let key = self.key(&cipher.key).await?;
                let plain = self.directory.join(format!("{number:06}.plain"));
                let (lock, iv) = (self.dir.lock().clone(), cipher.iv);
                let (from, to) = (partial.clone(), plain.clone());
                let decrypted = tokio::task::spawn_blocking(move || {
                    let _lock = lock;
                    let is_padded = decrypt(&from, &to, key, iv)?;
                    std::fs::remove_file(&from)?;
                    Ok(is_padded)
                });
                has_wrong_padding = match decrypted.await.map_err(io::Error::from).flatten() {
                    Err(error) if error.kind() == ErrorKind::InvalidData => return Err(self.damaged(number)),
                    decrypted => !decrypted?,
                };
                plain
            }
        };
        let transfer = Transfer { has_end, is_range: piece.range.is_some(), has_wrong_padding };
        self.check_content(&segment, piece, number, transfer).await?;
        self.count(tokio::fs::metadata(&segment).await?.len())?;
        // The rename marks it as finished.
        Ok(tokio::fs::rename(&segment, self.path(number)).await?)
    }

    /// A page instead of a segment is the server's answer, and subtitles are no recording; anything else that is not whole media is
    /// damage.
    async fn check_content(
        &self,
        segment: &Path,
        piece: &Piece,
        number: usize,
        transfer: Transfer,
    ) -> Result<(), SourceError> {
        let head = read_head(segment).await?;
        match body::sniff(&head, None) {
            BodyKind::Media => {}
            // A wrong key leaves random bytes: nothing that they look like was sent.
            _ if transfer.has_wrong_padding => return Err(self.damaged(number)),
            kind @ (BodyKind::Login | BodyKind::Html | BodyKind::Json | BodyKind::AwsChunks) => {
                require_media(kind, host(&piece.url))?
            }
            _ if head.trim_ascii_start().starts_with(b"WEBVTT") => return Err(SourceError::NoSound),
            _ => return Err(self.damaged(number)),
        }
        let (path, lock) = (segment.to_owned(), self.dir.lock().clone());
        let checked = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            structure::is_whole(&path, &head, transfer)
        });
        match checked.await.map_err(io::Error::from).flatten()? {
            true => Ok(()),
            false => Err(self.damaged(number)),
        }
    }

    fn damaged(&self, number: usize) -> SourceError {
        SourceError::Damaged { number: number + 1, of: self.recording.entries.len() }
    }

    /// A key, cached in memory.
    async fn key(&self, url: &Url) -> Result<[u8; 16], SourceError> {
        let mut keys = self.keys.lock().await;
        if let Some(key) = keys.get(url) {
            return Ok(*key);
        }
        let body = self.fetcher.get_bytes(url, 1024, KEY_TIMEOUT).await?;
        let key = match <[u8; 16]>::try_from(body.bytes.as_slice()) {
            Ok(key) => key,
            Err(_) => {
                if body.kind() == BodyKind::Login {
                    require_media(BodyKind::Login, host(&body.url))?;
                }
                return Err(SourceError::Key);
            }
        };
        keys.insert(url.clone(), key);
        Ok(key)
    }

    fn count(&self, bytes: u64) -> Result<(), SourceError> {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if total <= self.max_bytes {
            return Ok(());
        }
        let host = self.recording.entries.first().map(|entry| host(&entry.piece().url)).unwrap_or_default();
        Err(FetchError::TooLarge { host, limit: self.max_bytes }.into())
    }
}

async fn read_head(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    tokio::fs::File::open(file).await?.take(body::HEAD_BYTES as u64).read_to_end(&mut head).await?;
    Ok(head)
}
