//! Objects written and read in parts, so that none has to fit into memory.

use std::ops::Range;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::io::AsyncReadExt;

use super::error::StorageError;
use super::keys;
use super::object::ObjectInfo;
use super::storage::Storage;

/// Bytes of one part of a write to a storage on another host, and the memory of the write. S3 takes no smaller parts, and at most
/// 10,000 of them: 48 GiB.
pub(super) const REMOTE_PART_BYTES: usize = 5 * 1024 * 1024;

/// Bytes of one part of a write to local storage.
const LOCAL_PART_BYTES: usize = 1024 * 1024;

/// Bytes read at a time from a local file.
const READ_BYTES: usize = 256 * 1024;

/// A write in flight. The object appears under its key when the write is finished. A dropped writer leaves nothing.
#[derive(Debug)]
pub struct Writer {
    key: String,
    upload: Box<dyn MultipartUpload>,
    part: BytesMut,
    part_bytes: usize,
}

impl Writer {
    /// Appends bytes. Waits for a slow storage.
    ///
    /// # Errors
    /// `DiskFull` and `Io`.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.part.extend_from_slice(&bytes);
        while self.part.len() >= self.part_bytes {
            let part = self.part.split_to(self.part_bytes).freeze();
            self.put(part).await?;
        }
        Ok(())
    }

    async fn put(&mut self, part: Bytes) -> Result<(), StorageError> {
        let put = self.upload.put_part(PutPayload::from_bytes(part)).await;
        put.map_err(|source| StorageError::from_store(&self.key, source))
    }

    /// Publishes the object, complete and synced.
    ///
    /// # Errors
    /// `DiskFull` and `Io`.
    pub async fn finish(mut self) -> Result<(), StorageError> {
        let last = self.part.split().freeze();
        if !last.is_empty() {
            self.put(last).await?;
        }
        match self.upload.complete().await {
            Ok(_) => Ok(()),
            Err(source) => {
                // The first error is the one to report.
                let _ = self.upload.abort().await;
                Err(StorageError::from_store(&self.key, source))
            }
        }
    }

    /// Drops the bytes written so far.
    ///
    /// # Errors
    /// `Io`.
    pub async fn abort(mut self) -> Result<(), StorageError> {
        self.upload.abort().await.map_err(|source| StorageError::from_store(&self.key, source))
    }
}

impl Storage {
    /// Stores a local file under the key, in parts, replacing an older object.
    ///
    /// # Errors
    /// `InvalidKey`, `DiskFull` and `Io`.
    pub async fn put_file(&self, key: &str, path: &Path) -> Result<(), StorageError> {
        let mut file = tokio::fs::File::open(path).await.map_err(|source| StorageError::io(key, source))?;
        let mut writer = self.writer(key).await?;
        loop {
            let mut bytes = BytesMut::with_capacity(READ_BYTES);
            match file.read_buf(&mut bytes).await {
                Ok(0) => return writer.finish().await,
                Ok(_) => writer.write(bytes.freeze()).await?,
                // A dropped writer leaves nothing.
                Err(source) => return Err(StorageError::io(key, source)),
            }
        }
    }

    /// Starts to write an object. It replaces an older one when it is finished.
    ///
    /// # Errors
    /// `InvalidKey` and `Io`.
    pub async fn writer(&self, key: &str) -> Result<Writer, StorageError> {
        let location = keys::location(key)?;
        let upload = self.store.put_multipart(&location).await;
        let upload = upload.map_err(|source| StorageError::from_store(key, source))?;
        let part_bytes = if self.root.is_some() { LOCAL_PART_BYTES } else { REMOTE_PART_BYTES };
        Ok(Writer { key: key.to_owned(), upload, part: BytesMut::new(), part_bytes })
    }

    /// Size and entity tag of an object.
    ///
    /// # Errors
    /// `Missing` if there is no object; `InvalidKey` and `Io`.
    pub async fn info(&self, key: &str) -> Result<ObjectInfo, StorageError> {
        let location = keys::location(key)?;
        let meta = self.store.head(&location).await;
        let meta = meta.map_err(|source| StorageError::from_store(key, source))?;
        Ok(ObjectInfo { size: meta.size, etag: meta.e_tag.map(quoted) })
    }

    /// Streams a range of an object. The range must not be empty, and must lie within the object.
    ///
    /// # Errors
    /// `Missing` if there is no object; `InvalidKey` and `Io`, now or in the stream.
    pub async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let location = keys::location(key)?;
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let object = self.store.get_opts(&location, options).await;
        let object = object.map_err(|source| StorageError::from_store(key, source))?;
        let key = key.to_owned();
        Ok(object.into_stream().map_err(move |source| StorageError::from_store(&key, source)).boxed())
    }
}

/// Local storage makes entity tags without HTTP's quotes.
fn quoted(etag: String) -> String {
    if etag.ends_with('"') { etag } else { format!("\"{etag}\"") }
}
