//! The mark that names the database a storage belongs to: deleting what "has no row" in a storage of another database
//! would delete everything.

use bytes::Bytes;
use object_store::{ObjectStore, PutMode, PutPayload};
use uuid::Uuid;

use super::{Storage, StorageError, keys};

/// The object that holds the id of the database this storage belongs to.
const KEY: &str = ".bedel-installation";

impl Storage {
    /// Finds that the storage is marked with this id.
    ///
    /// # Errors
    /// `NotMarked` where it has no mark, `WrongInstallation` where it belongs to another database.
    pub async fn require_installation(&self, id: Uuid) -> Result<(), StorageError> {
        match self.get_bytes(KEY, 256).await {
            Err(StorageError::Missing { .. }) => Err(StorageError::NotMarked { expected: id }),
            // Marked, readably or not: what is found there decides.
            _ => self.ensure_installation(id).await,
        }
    }

    /// Marks an unmarked storage with this id, or finds that it is marked so.
    ///
    /// # Errors
    /// `WrongInstallation` where the storage belongs to another database; the storage's own.
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

    /// The id of the database this storage is tied to. `None` where it is not marked, or not readably.
    ///
    /// # Errors
    /// The storage's own.
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
