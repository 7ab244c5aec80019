//! The mark that ties a storage to its database. In a storage of another database, deleting files without a row would delete
//! everything.

use bytes::Bytes;
use object_store::{ObjectStore, PutMode, PutPayload};
use uuid::Uuid;

use super::error::StorageError;
use super::keys;
use super::storage::Storage;

/// The object with the database's id.
const KEY: &str = ".bedel-installation";

impl Storage {
    /// Checks that the storage is marked with this id.
    ///
    /// # Errors
    /// `NotMarked` without a mark, `WrongInstallation` if it belongs to another database, `Io`.
    pub async fn require_installation(&self, id: Uuid) -> Result<(), StorageError> {
        match self.get_bytes(KEY, 256).await {
            Err(StorageError::Missing { .. }) => Err(StorageError::NotMarked { expected: id }),
            // There is a mark; `ensure_installation` compares it.
            _ => self.ensure_installation(id).await,
        }
    }

    /// Marks an unmarked storage with this id, or checks its mark.
    ///
    /// # Errors
    /// `WrongInstallation` if the storage belongs to another database; `DiskFull` and `Io`.
    pub async fn ensure_installation(&self, id: Uuid) -> Result<(), StorageError> {
        let payload = PutPayload::from_bytes(Bytes::from(id.to_string()));
        match self.store.put_opts(&keys::location(KEY)?, payload, PutMode::Create.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => match self.installation().await? {
                Some(found) if found == id => Ok(()),
                found => {
                    let found = found.map_or_else(|| "unreadable".to_owned(), |found| found.to_string());
                    Err(StorageError::WrongInstallation { found, expected: id })
                }
            },
            Err(source) => Err(StorageError::from_store(KEY, source)),
        }
    }

    /// The id of the storage's database. `None` without a readable mark.
    ///
    /// # Errors
    /// `Io`.
    pub async fn installation(&self) -> Result<Option<Uuid>, StorageError> {
        match self.get_bytes(KEY, 256).await {
            Ok(bytes) => {
                Ok(std::str::from_utf8(&bytes).ok().and_then(|text| Uuid::try_parse(text.trim()).ok()))
            }
            Err(StorageError::Missing { .. } | StorageError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
