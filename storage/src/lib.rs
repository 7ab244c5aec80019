//! Stored files: audio, transcripts, documents and temporary objects, under logical keys.
//!
//! A key is relative, `/`-separated and safe as an object key and as a file name. A write becomes visible under its
//! key as a whole or not at all, and only once it would survive a power cut: on local disk the file and the
//! directories that lead to it are synced first (object_store's local store stages a write as `key#N`, syncs,
//! renames, and syncs the directory, when told to by `with_fsync`).
//!
//! Nothing here may be called while a database transaction is open.

mod error;
mod installation;
pub mod keys;
mod local;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use self::error::StorageError;
pub use self::local::create_private_dir;
pub use self::stream::{Description, Writer};

/// Bytes that are read at a time from a file that is stored.
const READ_BYTES: usize = 256 * 1024;

/// The object whose write tells what time it is for the storage.
const CLOCK_KEY: &str = ".bedel-clock";

/// A store of files by key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// Where the files are, when they are on this host.
    root: Option<Arc<PathBuf>>,
}

/// One listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its key. Of a write that never ended: the key it was meant for.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Last write, by the storage's own clock; compare it with [`Storage::clock`] alone.
    pub modified: DateTime<Utc>,
    /// The number of the staging file, for a write that is under way or was cut off. Such an object does not exist
    /// under its key. Only local storage shows them; an object store drops them by its own rules.
    pub(crate) staged: Option<u64>,
}

impl Stored {
    /// True for a write that is under way or was cut off.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        self.staged.is_some()
    }
}

impl From<ObjectMeta> for Stored {
    fn from(meta: ObjectMeta) -> Self {
        let key = meta.location.to_string();
        Self { key, size: meta.size, modified: meta.last_modified, staged: None }
    }
}

impl Storage {
    /// Storage in a directory of this host. Where it is missing it is created, for this user alone.
    ///
    /// # Errors
    /// Where the directory cannot be created or read.
    pub fn local(root: &Path) -> Result<Self, StorageError> {
        create_private_dir(root).map_err(|source| StorageError::io(".", source))?;
        Self::existing(root)
    }

    /// Storage in a directory of this host that has to be there.
    ///
    /// # Errors
    /// Where the directory is missing or cannot be read.
    pub fn existing(root: &Path) -> Result<Self, StorageError> {
        let root = std::fs::canonicalize(root).map_err(|source| StorageError::io(".", source))?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| StorageError::from_store(".", source))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self::over(Arc::new(store), Some(root)))
    }

    /// For a process that names jobs but runs none: every use of it fails, and nothing is created anywhere.
    #[must_use]
    pub fn nowhere() -> Self {
        // Nothing can be below a file.
        let store = LocalFileSystem::new_with_prefix("/dev/null").expect("every Unix has it");
        Self::over(Arc::new(store), None)
    }

    fn over(store: Arc<dyn ObjectStore>, root: Option<PathBuf>) -> Self {
        Self { store, root: root.map(Arc::new) }
    }

    /// Stores the content of a local file, in parts, never whole in memory. Replaces what the key held.
    ///
    /// # Errors
    /// An invalid key; the storage's own; the file's.
    pub async fn put_file(&self, key: &str, path: &Path) -> Result<(), StorageError> {
        let mut file = tokio::fs::File::open(path).await.map_err(|source| StorageError::io(key, source))?;
        let mut writer = self.writer(key).await?;
        loop {
            let mut bytes = BytesMut::with_capacity(READ_BYTES);
            match file.read_buf(&mut bytes).await {
                Ok(0) => return writer.finish().await,
                Ok(_) => writer.write(bytes.freeze()).await?,
                // Dropping the writer leaves nothing.
                Err(source) => return Err(StorageError::io(key, source)),
            }
        }
    }

    /// Stores these bytes. Replaces what the key held.
    ///
    /// # Errors
    /// An invalid key; the storage's own.
    pub async fn put_bytes(&self, key: &str, bytes: Bytes) -> Result<(), StorageError> {
        let location = keys::location(key)?;
        let put = self.store.put(&location, PutPayload::from_bytes(bytes)).await;
        put.map_err(|source| StorageError::from_store(key, source))?;
        Ok(())
    }

    /// Writes the object into a local file, which is created or replaced. The file is not synced.
    ///
    /// # Errors
    /// `Missing` where there is no object; the storage's own; the file's.
    pub async fn get_file(&self, key: &str, path: &Path) -> Result<(), StorageError> {
        let location = keys::location(key)?;
        let object =
            self.store.get(&location).await.map_err(|source| StorageError::from_store(key, source))?;
        let io = |source| StorageError::io(key, source);
        let mut file = tokio::fs::File::create(path).await.map_err(io)?;
        let mut stream = object.into_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|source| StorageError::from_store(key, source))?;
            file.write_all(&chunk).await.map_err(io)?;
        }
        file.flush().await.map_err(io)
    }

    /// The object's content, at most `max` bytes of it being accepted.
    ///
    /// # Errors
    /// `Missing` where there is no object; `TooLarge` where it holds more than `max` bytes; the storage's own.
    pub async fn get_bytes(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        let location = keys::location(key)?;
        let store_error = |source| StorageError::from_store(key, source);
        let object = self.store.get(&location).await.map_err(store_error)?;
        if object.meta.size > max {
            return Err(StorageError::TooLarge { key: key.to_owned(), size: object.meta.size, max });
        }
        object.bytes().await.map_err(store_error)
    }

    /// Where the object's file is or would be, for programs that read in place. `None` where the storage is not on
    /// this host or the key is invalid.
    #[must_use]
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        keys::location(key).ok()?;
        Some(self.root.as_ref()?.join(key))
    }

    /// Gives the object another key and replaces what that key held.
    ///
    /// # Errors
    /// `Missing` where there is no object under `from`; the storage's own.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (source, target) = (keys::location(from)?, keys::location(to)?);
        self.store.rename(&source, &target).await.map_err(|source| StorageError::from_store(from, source))?;
        self.remove_empty_directory_of(from).await;
        Ok(())
    }

    /// A lecture's directory of temporary objects goes with the last of them. A directory that is not empty, or that
    /// somebody writes to at this moment, stays.
    async fn remove_empty_directory_of(&self, key: &str) {
        if let (Some(root), Some((directory, _))) = (&self.root, key.rsplit_once('/')) {
            let _ = tokio::fs::remove_dir(root.join(directory)).await;
        }
    }

    /// Deletes the object. A missing one is no error.
    ///
    /// # Errors
    /// An invalid key; the storage's own.
    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let location = keys::location(key)?;
        match self.store.delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(StorageError::from_store(key, source)),
        }
    }

    /// Deletes exactly what a listing showed: the object, or the file of a write that was cut off.
    ///
    /// # Errors
    /// The storage's own.
    pub async fn delete_listed(&self, stored: &Stored) -> Result<(), StorageError> {
        match (stored.staged, &self.root) {
            (Some(number), Some(root)) => {
                keys::location(&stored.key)?;
                let path = root.join(format!("{}#{number}", stored.key));
                match tokio::fs::remove_file(path).await {
                    Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                        Err(StorageError::io(&stored.key, source))
                    }
                    _ => {
                        self.remove_empty_directory_of(&stored.key).await;
                        Ok(())
                    }
                }
            }
            _ => self.delete(&stored.key).await,
        }
    }

    /// Whether there is an object under the key.
    ///
    /// # Errors
    /// An invalid key; the storage's own.
    pub async fn exists(&self, key: &str) -> Result<bool, StorageError> {
        Ok(self.stat(key).await?.is_some())
    }

    /// The object as a listing would show it now. `None` where there is none.
    ///
    /// # Errors
    /// An invalid key; the storage's own.
    pub async fn stat(&self, key: &str) -> Result<Option<Stored>, StorageError> {
        let location = keys::location(key)?;
        match self.store.head(&location).await {
            Ok(meta) => Ok(Some(Stored::from(meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(StorageError::from_store(key, source)),
        }
    }

    /// The objects below `prefix`, a directory such as `audio` or `audio_tmp/{id}/`, in no order. A directory that
    /// does not exist holds none. Files whose names are not keys of ours are left out.
    ///
    /// # Errors
    /// An invalid prefix; the storage's own.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Stored>, StorageError> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let location = keys::location(prefix)?;
        if let Some(root) = &self.root {
            let (root, owned) = (Arc::clone(root), prefix.to_owned());
            return tokio::task::spawn_blocking(move || local::list(&root, &owned))
                .await
                .map_err(|_| StorageError::io(prefix, std::io::Error::other("the listing was stopped")))?;
        }
        let objects = self.store.list(Some(&location)).try_filter_map(|meta| async move {
            let stored = Stored::from(meta);
            Ok(keys::location(&stored.key).is_ok().then_some(stored))
        });
        objects.try_collect().await.map_err(|source| StorageError::from_store(prefix, source))
    }

    /// The time by the clock that stamps [`Stored::modified`], learnt by writing a small object: the storage's
    /// clock is neither this host's nor the database's.
    ///
    /// # Errors
    /// The storage's own.
    pub async fn clock(&self) -> Result<DateTime<Utc>, StorageError> {
        self.put_bytes(CLOCK_KEY, Bytes::new()).await?;
        let clock = self.stat(CLOCK_KEY).await?;
        Ok(clock.ok_or_else(|| StorageError::Missing { key: CLOCK_KEY.to_owned() })?.modified)
    }
}

#[cfg(test)]
mod tests;
