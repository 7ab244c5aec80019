//! The operations on stored objects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::io::AsyncWriteExt;

use super::error::StorageError;
use super::object::StoredObject;
use super::{keys, local};

/// An object whose time of writing is the storage's time.
const CLOCK_KEY: &str = ".bedel-clock";

/// A store of files by key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Storage {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The directory of the files, if they are on this host.
    pub(crate) root: Option<Arc<PathBuf>>,
}

impl Storage {
    /// Storage in a directory of this host, created for this user alone if it is missing.
    ///
    /// # Errors
    /// `Io` if the directory cannot be created or read.
    pub fn local(root: &Path) -> Result<Self, StorageError> {
        local::create_private_dir(root).map_err(|source| StorageError::io(".", source))?;
        Self::existing(root)
    }

    /// Storage in an existing directory of this host.
    ///
    /// # Errors
    /// `Io` if the directory is missing or cannot be read.
    pub fn existing(root: &Path) -> Result<Self, StorageError> {
        let root = std::fs::canonicalize(root).map_err(|source| StorageError::io(".", source))?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| StorageError::from_store(".", source))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self::over(Arc::new(store), Some(root)))
    }

    /// For a process that names jobs but runs none: every operation fails, and nothing is created.
    #[must_use]
    pub fn unusable() -> Self {
        // No path can be below a file.
        let store = LocalFileSystem::new_with_prefix("/dev/null").expect("every Unix has it");
        Self::over(Arc::new(store), None)
    }

    pub(crate) fn over(store: Arc<dyn ObjectStore>, root: Option<PathBuf>) -> Self {
        Self { store, root: root.map(Arc::new) }
    }

    /// Stores these bytes under the key, replacing an older object.
    ///
    /// # Errors
    /// `InvalidKey`, `DiskFull` and `Io`.
    pub async fn put_bytes(&self, key: &str, bytes: Bytes) -> Result<(), StorageError> {
        let location = keys::location(key)?;
        let put = self.store.put(&location, PutPayload::from_bytes(bytes)).await;
        put.map_err(|source| StorageError::from_store(key, source))?;
        Ok(())
    }

    /// Copies the object to a local file, which is created or replaced. The file is not synced.
    ///
    /// # Errors
    /// `Missing` if there is no object; `DiskFull` and `Io` of either side.
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

    /// The object's content, if it has at most `max` bytes.
    ///
    /// # Errors
    /// `Missing` if there is no object; `TooLarge` if it has more than `max` bytes; `Io`.
    pub async fn get_bytes(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        let location = keys::location(key)?;
        let store_error = |source| StorageError::from_store(key, source);
        let object = self.store.get(&location).await.map_err(store_error)?;
        if object.meta.size > max {
            return Err(StorageError::TooLarge { key: key.to_owned(), size: object.meta.size, max });
        }
        object.bytes().await.map_err(store_error)
    }

    /// The path of the object's file, whether or not it exists, for programs that read in place. `None` if the storage is not on
    /// this host or the key is invalid.
    #[must_use]
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        keys::location(key).ok()?;
        Some(self.root.as_ref()?.join(key))
    }

    /// Moves the object to another key, replacing an older object there.
    ///
    /// # Errors
    /// `Missing` if there is no object under `from`; `Io`.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (source, target) = (keys::location(from)?, keys::location(to)?);
        self.store.rename(&source, &target).await.map_err(|source| StorageError::from_store(from, source))?;
        self.remove_empty_directory_of(from).await;
        Ok(())
    }

    /// Removes a lecture's directory of temporary objects after the last of them. A directory that is not empty, or that is being
    /// written to, stays.
    async fn remove_empty_directory_of(&self, key: &str) {
        if let (Some(root), Some((directory, _))) = (&self.root, key.rsplit_once('/')) {
            let _ = tokio::fs::remove_dir(root.join(directory)).await;
        }
    }

    /// Deletes the object. A missing one is no error.
    ///
    /// # Errors
    /// `InvalidKey` and `Io`.
    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let location = keys::location(key)?;
        match self.store.delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(StorageError::from_store(key, source)),
        }
    }

    /// Deletes a listed object, or the staging file of an interrupted write.
    ///
    /// # Errors
    /// `InvalidKey` and `Io`.
    pub async fn delete_listed(&self, object: &StoredObject) -> Result<(), StorageError> {
        match (object.staged, &self.root) {
            (Some(number), Some(root)) => {
                keys::location(&object.key)?;
                let path = root.join(format!("{}#{number}", object.key));
                match tokio::fs::remove_file(path).await {
                    Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                        Err(StorageError::io(&object.key, source))
                    }
                    _ => {
                        self.remove_empty_directory_of(&object.key).await;
                        Ok(())
                    }
                }
            }
            _ => self.delete(&object.key).await,
        }
    }

    /// Whether there is an object under the key.
    ///
    /// # Errors
    /// `InvalidKey` and `Io`.
    pub async fn exists(&self, key: &str) -> Result<bool, StorageError> {
        Ok(self.stat(key).await?.is_some())
    }

    /// The object as a listing shows it. `None` if there is none.
    ///
    /// # Errors
    /// `InvalidKey` and `Io`.
    pub async fn stat(&self, key: &str) -> Result<Option<StoredObject>, StorageError> {
        let location = keys::location(key)?;
        match self.store.head(&location).await {
            Ok(meta) => Ok(Some(StoredObject::from(meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(StorageError::from_store(key, source)),
        }
    }

    /// The objects below `prefix`, a directory such as `audio` or `audio_tmp/{id}/`, in no order. A missing directory has none.
    /// Files whose names are not valid keys are skipped.
    ///
    /// # Errors
    /// `InvalidKey` and `Io`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<StoredObject>, StorageError> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let location = keys::location(prefix)?;
        if let Some(root) = &self.root {
            let (root, owned) = (Arc::clone(root), prefix.to_owned());
            return tokio::task::spawn_blocking(move || local::list(&root, &owned))
                .await
                .map_err(|_| StorageError::io(prefix, std::io::Error::other("the listing was stopped")))?;
        }
        let objects = self.store.list(Some(&location)).try_filter_map(|meta| async move {
            let object = StoredObject::from(meta);
            Ok(keys::location(&object.key).is_ok().then_some(object))
        });
        objects.try_collect().await.map_err(|source| StorageError::from_store(prefix, source))
    }

    /// The time by the clock of [`StoredObject::modified`], from writing a small object: the storage's clock is neither this
    /// host's nor the database's.
    ///
    /// # Errors
    /// `DiskFull` and `Io`.
    pub async fn clock(&self) -> Result<DateTime<Utc>, StorageError> {
        self.put_bytes(CLOCK_KEY, Bytes::new()).await?;
        let clock = self.stat(CLOCK_KEY).await?;
        Ok(clock.ok_or_else(|| StorageError::Missing { key: CLOCK_KEY.to_owned() })?.modified)
    }
}
