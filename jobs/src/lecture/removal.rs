//! Unlinks a lecture from a user, and deletes it with its last link.

use bedel_queue::enqueue;
use sqlx::PgConnection;
use uuid::Uuid;

use super::lock;
use crate::kinds::CleanupOrphans;

/// Outcome of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// No such lecture, or the user is not linked to it. Nothing changed.
    NotFound,
    /// The user's link was removed; other users are still linked.
    Unlinked,
    /// The lecture was deleted, its job cancelled and the clean-up of its files enqueued. Wake the workers
    /// after the commit.
    Deleted,
}

/// Removes the user's link, and with the last link the lecture.
pub async fn unlink(tx: &mut PgConnection, user_id: Uuid, lecture_id: Uuid) -> Result<Removed, sqlx::Error> {
    // Links are only added under the lecture's lock, so none can appear between the count and the deletion.
    if lock(tx, lecture_id).await?.is_none() || !delete_link(tx, user_id, lecture_id).await? {
        return Ok(Removed::NotFound);
    }
    if has_links(tx, lecture_id).await? {
        return Ok(Removed::Unlinked);
    }
    delete_locked(tx, lecture_id, DELETED).await
}

/// Deletes the lecture despite its links: for admins.
pub async fn delete(tx: &mut PgConnection, lecture_id: Uuid) -> Result<Removed, sqlx::Error> {
    if lock(tx, lecture_id).await?.is_none() {
        return Ok(Removed::NotFound);
    }
    delete_locked(tx, lecture_id, DELETED).await
}

/// The reason in the cancelled job's history.
const DELETED: &str = "the lecture was deleted";

/// Deletes a lecture that the caller has locked. `reason` goes into the cancelled job's history.
pub(crate) async fn delete_locked(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    reason: &str,
) -> Result<Removed, sqlx::Error> {
    // Cancel before enqueueing the clean-up, which may have the lecture as its subject too.
    let cancelled = bedel_queue::cancel_subject(tx, lecture_id, reason).await?;
    sqlx::query("-- removal::delete_locked\nDELETE FROM lectures WHERE id = $1")
        .bind(lecture_id)
        .execute(&mut *tx)
        .await?;
    let [now, later] = CleanupOrphans::after_cancelling(lecture_id);
    enqueue(tx, &now).await?;
    if cancelled > 0 {
        enqueue(tx, &later).await?;
    }
    Ok(Removed::Deleted)
}

/// Also forgets the user's callback: a later submission without one must not bring it back.
async fn delete_link(tx: &mut PgConnection, user_id: Uuid, lecture_id: Uuid) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query(
        "-- removal::delete_link
         DELETE FROM user_lectures WHERE user_id = $1 AND lecture_id = $2",
    )
    .bind(user_id)
    .bind(lecture_id)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "-- removal::delete_callback
         DELETE FROM lecture_callbacks WHERE lecture_id = $2 AND user_id = $1",
    )
    .bind(user_id)
    .bind(lecture_id)
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

async fn has_links(tx: &mut PgConnection, lecture_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "-- removal::has_links
         SELECT EXISTS (SELECT 1 FROM user_lectures WHERE lecture_id = $1)",
    )
    .bind(lecture_id)
    .fetch_one(tx)
    .await
}
