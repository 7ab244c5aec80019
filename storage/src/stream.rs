//! Files that come and go piece by piece, so that none has to fit into memory.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStoreExt, PutPayload};

use super::{Storage, StorageError, keys};

/// Bytes of one part of a write to a storage of another host, which is the memory that the write takes. S3 takes no smaller ones, and 10,000 of them: 48 GiB.
pub(super) const REMOTE_PART_BYTES: usize = 5 * 1024 * 1024;

/// Bytes of one part of a write to a local storage.
const LOCAL_PART_BYTES: usize = 1024 * 1024;

/// A write under way. The object appears under its key when the write is finished; one that is dropped before leaves nothing.
#[derive(Debug)]
pub struct Writer {
    key: String,
    upload: Box<dyn MultipartUpload>,
    part: BytesMut,
    part_bytes: usize,
}

impl Writer {
    /// Takes the next bytes; waits where the storage is slower than they come.
    ///
    /// # Errors
    /// The storage's own.
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

    /// The object is there from now on, whole and synced.
    ///
    /// # Errors
    /// The storage's own.
    pub async fn finish(mut self) -> Result<(), StorageError> {
        let last = self.part.split().freeze();
        if !last.is_empty() {
            self.put(last).await?;
        }
        match self.upload.complete().await {
            Ok(_) => Ok(()),
            Err(source) => {
                // Why it failed is told, not that there was nothing left to give up.
                let _ = self.upload.abort().await;
                Err(StorageError::from_store(&self.key, source))
            }
        }
    }

    /// Nothing is kept of it.
    ///
    /// # Errors
    /// The storage's own.
    pub async fn abort(mut self) -> Result<(), StorageError> {
        self.upload.abort().await.map_err(|source| StorageError::from_store(&self.key, source))
    }
}

/// What an object is like, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Size in bytes.
    pub size: u64,
    /// Changes with the content; a quoted text as HTTP has it. None where the storage knows none.
    pub etag: Option<String>,
}

impl Storage {
    /// Begins to write an object. Replaces what the key held when it is finished.
    ///
    /// # Errors
    /// An invalid key; the storage's own.
    pub async fn writer(&self, key: &str) -> Result<Writer, StorageError> {
        let location = keys::location(key)?;
        let upload = self.store.put_multipart(&location).await;
        let upload = upload.map_err(|source| StorageError::from_store(key, source))?;
        let part_bytes = if self.root.is_some() { LOCAL_PART_BYTES } else { REMOTE_PART_BYTES };
        Ok(Writer { key: key.to_owned(), upload, part: BytesMut::new(), part_bytes })
    }

    /// Looks at an object.
    ///
    /// # Errors
    /// `Missing` where there is no object; the storage's own.
    pub async fn describe(&self, key: &str) -> Result<Description, StorageError> {
        let location = keys::location(key)?;
        let meta = self.store.head(&location).await;
        let meta = meta.map_err(|source| StorageError::from_store(key, source))?;
        Ok(Description { size: meta.size, etag: meta.e_tag.map(quoted) })
    }

    /// A part of an object, piece by piece. The range must not be empty, and lie within the object.
    ///
    /// # Errors
    /// `Missing` where there is no object; the storage's own, now or with a piece.
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

/// Local storage makes its marks without the quotes that HTTP wants.
fn quoted(etag: String) -> String {
    if etag.ends_with('"') { etag } else { format!("\"{etag}\"") }
}
