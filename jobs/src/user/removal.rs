//! Removes a user with all their data.

use bedel_storage::{Storage, StorageError};
use sqlx::PgPool;
use uuid::Uuid;

use crate::document;
use crate::lecture::removal::{self, Removed};
use crate::webhook::prune;

/// Counts of what was removed with a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// True if the user had a row.
    pub existed: bool,
    /// Lectures that other users keep.
    pub lectures_unlinked: u64,
    /// Lectures without other users; a clean-up deletes their files.
    pub lectures_removed: u64,
    /// Documents, with their files.
    pub documents_removed: u64,
}

/// Why a removal stopped halfway. Calling [`delete`] again continues it.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Rows read at a time.
const BATCH_SIZE: i64 = 100;

/// Removes a user with links, documents, files, webhooks, chosen courses and API tokens, in many short transactions.
/// Wake the workers afterwards and announce the cancellation.
pub async fn delete(pool: &PgPool, storage: &Storage, user_id: Uuid) -> Result<Deleted, DeleteError> {
    let mut deleted = Deleted::default();
    let mut after = Uuid::nil();
    loop {
        let lectures: Vec<Uuid> = sqlx::query_scalar(
            "-- user_removal::lectures
             SELECT lecture_id FROM user_lectures WHERE user_id = $1 AND lecture_id > $3 ORDER BY lecture_id LIMIT $2",
        )
        .bind(user_id)
        .bind(BATCH_SIZE)
        .bind(after)
        .fetch_all(pool)
        .await?;
        let Some(last) = lectures.last() else { break };
        after = *last;
        for lecture in lectures {
            let mut tx = pool.begin().await?;
            match removal::unlink(&mut tx, user_id, lecture).await? {
                Removed::Deleted => deleted.lectures_removed += 1,
                Removed::Unlinked => deleted.lectures_unlinked += 1,
                Removed::NotFound => {}
            }
            tx.commit().await?;
        }
    }
    loop {
        let documents: Vec<Uuid> = sqlx::query_scalar(
            "-- user_removal::documents\nSELECT id FROM documents WHERE owner_id = $1 LIMIT $2",
        )
        .bind(user_id)
        .bind(BATCH_SIZE)
        .fetch_all(pool)
        .await?;
        if documents.is_empty() {
            break;
        }
        for id in documents {
            let key = document::remove(&mut *pool.acquire().await?, Some(user_id), id).await?;
            if let Some(key) = key {
                storage.delete(&key).await?;
                deleted.documents_removed += 1;
            }
        }
    }
    prune::user(&mut *pool.acquire().await?, user_id).await?;
    // The cascade deletes the rest. If a lecture was linked meanwhile, cleanup-orphans removes it.
    let removed = sqlx::query("-- user_removal::delete\nDELETE FROM users WHERE id = $1")
        .bind(user_id)
        .execute(pool)
        .await?;
    deleted.existed = removed.rows_affected() == 1;
    Ok(deleted)
}
