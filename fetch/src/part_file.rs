//! A file that arrives piece by piece, now or over several attempts.
//!
//! Beside the file stands what it is a part of: where it came from and what the server said to tell it apart from another
//! version. Without that nobody could go on with it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::rules;
use super::validator::Validator;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file of which the first [`PartFile::len`] bytes are there.
///
/// It is written under a lock that its writer holds. Each write that is under way keeps the lock: whoever gets it next can
/// be sure that nothing is written any more, however the last writer ended.
#[derive(Debug)]
pub struct PartFile {
    path: PathBuf,
    file: Arc<File>,
    lock: Arc<File>,
    buffer: Vec<u8>,
    /// Bytes in the file and in the buffer.
    length: u64,
    about: About,
    /// Whether `about` stands beside the file, so that a later attempt can go on.
    noted: bool,
}

/// What the file is a part of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct About {
    /// Hash of the URL without its query, which holds signatures that change.
    place: String,
    /// Hash of the whole URL.
    url: String,
    validator: Validator,
}

impl PartFile {
    /// Opens what is there of `url`'s file, or begins a new one: what belongs to another place is dropped. `lock` is
    /// kept while something is written.
    ///
    /// # Errors
    /// The disk's.
    pub async fn open(path: &Path, lock: &Arc<File>, url: &Url) -> io::Result<Self> {
        let (path, lock) = (path.to_owned(), Arc::clone(lock));
        let about = About {
            place: hash(rules::place(url)),
            url: hash(url.as_str()),
            validator: Validator::default(),
        };
        tokio::task::spawn_blocking(move || {
            let file = File::options().read(true).append(true).create(true).open(&path)?;
            let mut part =
                Self { path, file: Arc::new(file), lock, buffer: Vec::new(), length: 0, about, noted: true };
            match part.read_about() {
                Some(known) if known.place == part.about.place => {
                    part.length = part.file.metadata()?.len();
                    part.about = About { url: part.about.url, ..known.clone() };
                    // The signature changed: what is there has to be confirmed.
                    if known.url != part.about.url {
                        part.about.url = String::new();
                    }
                }
                _ => part.file.set_len(0)?,
            }
            Ok(part)
        })
        .await
        .map_err(io::Error::from)
        .flatten()
    }

    /// Begins a file that is short enough to be fetched anew where it breaks off.
    ///
    /// # Errors
    /// The disk's.
    pub async fn create(path: &Path, lock: &Arc<File>) -> io::Result<Self> {
        let (path, lock) = (path.to_owned(), Arc::clone(lock));
        tokio::task::spawn_blocking(move || {
            let file = Arc::new(File::create(&path)?);
            let (buffer, length, about) = (Vec::new(), 0, About::default());
            Ok(Self { path, file, lock, buffer, length, about, noted: false })
        })
        .await
        .map_err(io::Error::from)
        .flatten()
    }

    /// Bytes that are there.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// True while nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// True where all of it is there, and came from this very URL.
    pub(super) fn is_whole(&self) -> bool {
        self.length > 0 && self.about.validator.total == Some(self.length) && !self.about.url.is_empty()
    }

    pub(super) fn validator(&self) -> &Validator {
        &self.about.validator
    }

    /// What a request for the rest asks with. None where it has to be a request for all of it.
    pub(super) fn if_range(&self) -> Option<&str> {
        self.about.validator.if_range().filter(|_| self.length > 0)
    }

    /// Drops what is there and notes whose beginning comes next.
    pub(super) async fn begin(&mut self, response: &Response) -> io::Result<()> {
        self.about.validator = Validator::of_whole(response);
        (self.length, self.buffer) = (0, Vec::new());
        if !self.noted {
            return Ok(()); // it was created empty, and is begun once
        }
        let (file, lock, about) = (Arc::clone(&self.file), Arc::clone(&self.lock), self.about.clone());
        let beside = beside(&self.path);
        tokio::task::spawn_blocking(move || {
            let _lock = lock;
            // In this order: a file whose note is missing is dropped.
            let gone = std::fs::remove_file(&beside);
            if let Err(error) = gone
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            file.set_len(0)?;
            std::fs::write(&beside, serde_json::to_vec(&about)?)
        })
        .await
        .map_err(io::Error::from)
        .flatten()
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Writes what was collected. When this returned an error the length is what really is in the file.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            return Ok(());
        }
        let (file, lock) = (Arc::clone(&self.file), Arc::clone(&self.lock));
        let (written, buffer) = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            let written = (&*file).write_all(&buffer);
            (written, buffer)
        })
        .await?;
        if let Err(error) = written {
            self.length = self.file.metadata().map_or(0, |metadata| metadata.len());
            return Err(error);
        }
        // The room is used again.
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn read_about(&self) -> Option<About> {
        serde_json::from_slice(&std::fs::read(beside(&self.path)).ok()?).ok()
    }
}

/// Where the note stands.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("about.json")
}

fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes()))
}
