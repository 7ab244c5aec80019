//! Deletes messages with their attempts, in small batches: no statement cascades over a month of them.
//!
//! What was deleted before an error stays deleted; a repetition continues from there.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// How long messages are kept.
pub const RETENTION_DAYS: i32 = 30;

/// Messages deleted by one statement. Each has a few dozen attempts at most.
const BATCH: usize = 500;

/// The reason in the history of jobs whose messages are deleted.
const REASON: &str = "the message was deleted";

/// Which messages to delete.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// Those past their retention.
    Old,
    /// Those to a removed subscription.
    OfWebhook(Uuid),
    /// Those to a user's subscriptions and callbacks.
    OfUser(Uuid),
}

/// Deletes messages past their retention. Returns their number.
pub async fn old_messages(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    delete(connection, Target::Old).await
}

/// Deletes each removed subscription after its messages. Returns the number of messages.
pub async fn removed_webhooks(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut messages = 0;
    loop {
        let removed: Vec<Uuid> = sqlx::query_scalar(
            "-- prune::removed
             SELECT id FROM webhooks WHERE removed_at IS NOT NULL ORDER BY removed_at LIMIT 100",
        )
        .fetch_all(&mut *connection)
        .await?;
        if removed.is_empty() {
            return Ok(messages);
        }
        for id in removed {
            messages += delete(connection, Target::OfWebhook(id)).await?;
            // The cascade takes a message that was published while it was removed.
            sqlx::query("-- prune::webhook\nDELETE FROM webhooks WHERE id = $1")
                .bind(id)
                .execute(&mut *connection)
                .await?;
        }
    }
}

/// Removes the subscriptions of a user who is being deleted, and deletes their messages. Few rows are left to the cascade.
pub async fn user(connection: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    // No further message is written for them.
    sqlx::query(
        "-- prune::remove_of_user
         UPDATE webhooks SET removed_at = now(), enabled = false, disabled_reason = NULL
         WHERE user_id = $1 AND removed_at IS NULL",
    )
    .bind(user_id)
    .execute(&mut *connection)
    .await?;
    delete(connection, Target::OfUser(user_id)).await.map(drop)
}

async fn delete(connection: &mut PgConnection, target: Target) -> Result<u64, sqlx::Error> {
    let mut deleted = 0;
    loop {
        let (found, gone) = delete_batch(connection, target).await?;
        deleted += gone;
        if found < BATCH {
            return Ok(deleted);
        }
    }
}

/// Finds up to [`BATCH`] messages, cancels the jobs that would send them, and deletes them, in one transaction. Locks jobs
/// before messages, as a delivery's end does. Returns the number found and the number deleted.
async fn delete_batch(connection: &mut PgConnection, target: Target) -> Result<(usize, u64), sqlx::Error> {
    // One statement for each condition: each has its index.
    macro_rules! find {
        ($name:literal, $condition:literal) => {
            concat!(
                "-- prune::",
                $name,
                "\nSELECT id, state = 'pending' FROM webhook_messages WHERE ",
                $condition,
                " LIMIT $2"
            )
        };
    }
    let query = match target {
        Target::Old => {
            sqlx::query_as(find!("old", "created_at < now() - make_interval(days => $1) ORDER BY created_at"))
                .bind(RETENTION_DAYS)
        }
        Target::OfWebhook(id) => sqlx::query_as(find!("of_webhook", "webhook_id = $1")).bind(id),
        Target::OfUser(id) => sqlx::query_as(find!("of_user", "user_id = $1")).bind(id),
    };
    let mut tx = connection.begin().await?;
    let found: Vec<(Uuid, bool)> =
        query.bind(i64::try_from(BATCH).unwrap_or(i64::MAX)).fetch_all(&mut *tx).await?;
    for (message_id, _) in found.iter().filter(|(_, is_pending)| *is_pending) {
        bedel_queue::cancel_subject(&mut tx, *message_id, REASON).await?;
    }
    let ids: Vec<Uuid> = found.iter().map(|(id, _)| *id).collect();
    let gone = sqlx::query("-- prune::delete\nDELETE FROM webhook_messages WHERE id = ANY ($1)")
        .bind(ids)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok((found.len(), gone.rows_affected()))
}
