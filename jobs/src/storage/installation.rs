//! The tie between a storage and its database: deleting what "has no row" in a storage of another database would
//! delete everything.

use bytes::Bytes;
use object_store::{ObjectStore, PutMode, PutPayload};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{Storage, StorageError, keys};

/// The object that holds the id of the database this storage belongs to.
const KEY: &str = ".bedel-installation";

/// Key of the advisory lock under which a first storage is tied, "tie" in ASCII. Advisory locks belong to one database.
const TIE: i64 = 0x74_69_65;

/// Why storage and database could not be tied to each other.
#[derive(Debug, thiserror::Error)]
pub enum TieError {
    /// The storage's trouble, or it is not this database's.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database's trouble.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Storage {
    /// Ties this storage to the database, where that has none yet; otherwise finds that the two belong together. Call it
    /// at the start of every process.
    ///
    /// # Errors
    /// `WrongInstallation` where the storage belongs to another database, `NotMarked` where the database is tied to
    /// another storage than this; the storage's own and the database's.
    pub async fn tie(&self, pool: &PgPool) -> Result<(), TieError> {
        let (id, tied) = tie_of_database(&mut *pool.acquire().await?).await?;
        if tied {
            return Ok(self.require_installation(id).await?);
        }
        // A connection of its own, so that the lock goes with it, whatever happens: of two processes that start with
        // two new storages the second must see what the first did. No transaction is open meanwhile.
        let mut connection = pool.acquire().await?.detach();
        sqlx::query("-- storage::tie_lock\nSELECT pg_advisory_lock($1)")
            .bind(TIE)
            .execute(&mut connection)
            .await?;
        let tied = self.tie_locked(&mut connection).await;
        connection.close().await?;
        tied
    }

    async fn tie_locked(&self, connection: &mut PgConnection) -> Result<(), TieError> {
        let (id, tied) = tie_of_database(connection).await?;
        if tied {
            return Ok(self.require_installation(id).await?);
        }
        // The mark first: a database that says it is tied, to a storage without the mark, would refuse every storage.
        self.ensure_installation(id).await?;
        sqlx::query(
            "-- storage::tie_locked\nUPDATE bedel_installation SET tied_at = now() WHERE tied_at IS NULL",
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Finds that the storage is marked with this id.
    async fn require_installation(&self, id: Uuid) -> Result<(), StorageError> {
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

/// The database's own id, made by its migrations.
///
/// # Errors
/// The database's.
pub async fn installation_of_database(connection: &mut PgConnection) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("-- storage::installation_of_database\nSELECT id FROM bedel_installation")
        .fetch_one(connection)
        .await
}

/// The database's own id, and whether a storage is tied to it.
///
/// # Errors
/// The database's.
pub async fn tie_of_database(connection: &mut PgConnection) -> Result<(Uuid, bool), sqlx::Error> {
    sqlx::query_as("-- storage::tie_of_database\nSELECT id, tied_at IS NOT NULL FROM bedel_installation")
        .fetch_one(connection)
        .await
}
