//! The tie between this database and its storage.

use bedel_storage::{Storage, StorageError};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

/// Advisory lock for tying the first storage: "tie" in ASCII. Advisory locks are per database.
const TIE_LOCK_KEY: i64 = 0x74_69_65;

/// Why storage and database could not be tied.
#[derive(Debug, thiserror::Error)]
pub enum TieError {
    /// The storage failed, or belongs to another database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Ties the storage to the database if that has none yet; otherwise checks that both belong together. Every
/// process calls it at start.
///
/// # Errors
/// `WrongInstallation` if the storage belongs to another database, `NotMarked` if the database is tied to
/// another storage.
pub async fn tie(storage: &Storage, pool: &PgPool) -> Result<(), TieError> {
    let (id, tied) = tie_of_database(&mut *pool.acquire().await?).await?;
    if tied {
        return Ok(storage.require_installation(id).await?);
    }
    // Two processes may start with two new storages: the second must see the first one's tie. A dedicated
    // connection holds the lock, and no transaction is open.
    let mut connection = pool.acquire().await?.detach();
    sqlx::query("-- installation::tie\nSELECT pg_advisory_lock($1)")
        .bind(TIE_LOCK_KEY)
        .execute(&mut connection)
        .await?;
    let tied = tie_locked(storage, &mut connection).await;
    connection.close().await?;
    tied
}

async fn tie_locked(storage: &Storage, connection: &mut PgConnection) -> Result<(), TieError> {
    let (id, tied) = tie_of_database(connection).await?;
    if tied {
        return Ok(storage.require_installation(id).await?);
    }
    // Mark the storage first: a database that is tied to an unmarked storage would refuse every storage.
    storage.ensure_installation(id).await?;
    sqlx::query(
        "-- installation::tie_locked\nUPDATE bedel_installation SET tied_at = now() WHERE tied_at IS NULL",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The database's installation id, created by its migrations.
pub async fn installation_of_database(connection: &mut PgConnection) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("-- installation::installation_of_database\nSELECT id FROM bedel_installation")
        .fetch_one(connection)
        .await
}

/// The database's installation id, and true if a storage is tied to it.
pub async fn tie_of_database(connection: &mut PgConnection) -> Result<(Uuid, bool), sqlx::Error> {
    sqlx::query_as("-- installation::tie_of_database\nSELECT id, tied_at IS NOT NULL FROM bedel_installation")
        .fetch_one(connection)
        .await
}
