//! Removing a lecture from a user, and, with its last link, from the world.

use bedel_queue::enqueue;
use sqlx::PgConnection;
use uuid::Uuid;

use super::lock;
use crate::kinds::CleanupOrphans;

/// What a removal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// No such lecture, or not this user's: nothing was changed.
    NotFound,
    /// The user's link is gone; others still have theirs.
    Unlinked,
    /// The lecture is gone, its work is cancelled and the clean-up of its files is enqueued: wake the workers after the
    /// commit.
    Deleted,
}

/// Takes the user's link away; the last one takes the lecture with it.
///
/// # Errors
/// The database's.
pub async fn unlink(tx: &mut PgConnection, user_id: Uuid, lecture_id: Uuid) -> Result<Removed, sqlx::Error> {
    // A link is only ever added under the lecture's lock, so nobody can arrive between the count and the deletion.
    if lock(tx, lecture_id).await?.is_none() || !delete_link(tx, user_id, lecture_id).await? {
        return Ok(Removed::NotFound);
    }
    if has_links(tx, lecture_id).await? {
        return Ok(Removed::Unlinked);
    }
    delete_locked(tx, lecture_id, DELETED).await
}

/// Deletes the lecture whoever is linked to it: for admins.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut PgConnection, lecture_id: Uuid) -> Result<Removed, sqlx::Error> {
    if lock(tx, lecture_id).await?.is_none() {
        return Ok(Removed::NotFound);
    }
    delete_locked(tx, lecture_id, DELETED).await
}

/// Why the work for it is cancelled.
const DELETED: &str = "the lecture was deleted";

/// Deletes a lecture that the caller has locked, and says why to whoever looks at its jobs.
pub(crate) async fn delete_locked(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    reason: &str,
) -> Result<Removed, sqlx::Error> {
    // Before the clean-up is enqueued, which may name the lecture as its subject too.
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

async fn delete_link(tx: &mut PgConnection, user_id: Uuid, lecture_id: Uuid) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query(
        "-- removal::delete_link
         DELETE FROM user_lectures WHERE user_id = $1 AND lecture_id = $2",
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
