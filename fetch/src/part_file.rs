//! A file that is downloaded in parts, over several attempts.
//!
//! A note beside the file holds its URL and validators. Without the note a download cannot resume.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::rules::without_query;
use super::validator::Validator;
use super::whole::{self, End};

/// Bytes buffered before a write.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file whose first [`PartFile::len`] bytes are downloaded.
///
/// Its owner holds a lock, and so does each write in flight. The next holder of the lock knows that all writes have ended, even if
/// the last owner crashed.
#[derive(Debug)]
pub struct PartFile {
    path: PathBuf,
    file: Arc<File>,
    lock: Arc<File>,
    buffer: Vec<u8>,
    /// Bytes in the file and in the buffer.
    length: u64,
    note: Note,
    /// Whether the note is kept on disk, so that a later attempt can resume.
    is_resumable: bool,
}

/// The file that the bytes belong to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Note {
    /// Hash of the URL without its query, whose signatures change.
    address: String,
    /// Hash of the whole URL.
    url: String,
    validator: Validator,
}

impl PartFile {
    /// Opens the bytes downloaded of `url`'s file, or starts a new file. Bytes of another file are dropped. Each write keeps
    /// `lock`.
    ///
    /// # Errors
    /// The disk's.
    pub async fn open(path: &Path, lock: &Arc<File>, url: &Url) -> io::Result<Self> {
        let (path, lock) = (path.to_owned(), Arc::clone(lock));
        let note = Note {
            address: hash(without_query(url)),
            url: hash(url.as_str()),
            validator: Validator::default(),
        };
        tokio::task::spawn_blocking(move || {
            let file = File::options().read(true).append(true).create(true).open(&path)?;
            let mut part = Self {
                path,
                file: Arc::new(file),
                lock,
                buffer: Vec::new(),
                length: 0,
                note,
                is_resumable: true,
            };
            match part.read_note() {
                Some(known) if known.address == part.note.address => {
                    part.length = part.file.metadata()?.len();
                    part.note = Note { url: part.note.url, ..known.clone() };
                    // The signature changed: the server has to confirm the bytes.
                    if known.url != part.note.url {
                        part.note.url = String::new();
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

    /// Starts a file that does not resume.
    ///
    /// # Errors
    /// The disk's.
    pub async fn create(path: &Path, lock: &Arc<File>) -> io::Result<Self> {
        let (path, lock) = (path.to_owned(), Arc::clone(lock));
        tokio::task::spawn_blocking(move || {
            let file = Arc::new(File::create(&path)?);
            let (buffer, length, note) = (Vec::new(), 0, Note::default());
            Ok(Self { path, file, lock, buffer, length, note, is_resumable: false })
        })
        .await
        .map_err(io::Error::from)
        .flatten()
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes downloaded.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// True before the first byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// True where the file is complete and came from this URL, query included.
    pub(super) fn is_complete(&self) -> bool {
        self.length > 0 && self.note.validator.total == Some(self.length) && !self.note.url.is_empty()
    }

    /// Corrects the length of the whole file, which the first response understated.
    pub(super) fn set_total(&mut self, total: u64) {
        self.note.validator.total = Some(total);
    }

    /// What the structure of the bytes says about their end. The buffer must be flushed.
    pub(super) async fn end(&self) -> io::Result<End> {
        let (path, lock) = (self.path.clone(), Arc::clone(&self.lock));
        tokio::task::spawn_blocking(move || {
            let _lock = lock;
            whole::end(&path)
        })
        .await
        .map_err(io::Error::from)
        .flatten()
    }

    pub(super) fn validator(&self) -> &Validator {
        &self.note.validator
    }

    /// The `If-Range` value of a request for the rest. `None` where the whole file has to be requested.
    pub(super) fn if_range(&self) -> Option<&str> {
        self.note.validator.if_range().filter(|_| self.length > 0)
    }

    /// Drops the bytes and notes the file that `response` starts.
    pub(super) async fn restart(&mut self, response: &Response) -> io::Result<()> {
        self.note.validator = Validator::of_whole(response);
        (self.length, self.buffer) = (0, Vec::new());
        if !self.is_resumable {
            return Ok(()); // created empty, and started once
        }
        let (file, lock, note) = (Arc::clone(&self.file), Arc::clone(&self.lock), self.note.clone());
        let note_path = note_path(&self.path);
        tokio::task::spawn_blocking(move || {
            let _lock = lock;
            // In this order: a file without its note is dropped.
            remove_if_exists(&note_path)?;
            file.set_len(0)?;
            std::fs::write(&note_path, serde_json::to_vec(&note)?)
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

    /// Writes the buffer. After an error, the length is the file's.
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
        // Reuse the allocation.
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Removes the file and its note. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(self) -> io::Result<()> {
        remove_if_exists(&note_path(&self.path))?;
        remove_if_exists(&self.path)
    }

    fn read_note(&self) -> Option<Note> {
        serde_json::from_slice(&std::fs::read(note_path(&self.path)).ok()?).ok()
    }
}

fn note_path(path: &Path) -> PathBuf {
    path.with_extension("note.json")
}

fn remove_if_exists(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
