//! Messages, each to one receiver, and the log of the attempts to send them.

use std::time::Duration;

use bedel_queue::{NewJob, enqueue, pull_forward};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::receiver_group::ReceiverGroup;
use super::secret::SigningSecret;
use crate::kinds::DeliverWebhook;

/// Attempts shown of a message: the newest.
const SHOWN_ATTEMPTS: i64 = 20;

/// Everything that an attempt to send a message needs. Secret: no `Debug`.
#[derive(sqlx::FromRow)]
pub struct Sending {
    /// The signed bytes.
    pub payload: String,
    /// The receiver.
    pub url: String,
    /// False if the subscription is disabled.
    pub enabled: bool,
    /// The secret that signs.
    pub secret: SigningSecret,
    /// The one before, until it expires.
    pub previous_secret: Option<SigningSecret>,
    /// Seconds since 1970, by the database's clock.
    pub timestamp: i64,
}

/// Reads what to send. `None` if the message or its receiver's secret is gone, or its subscription is removed.
pub async fn read_sending(pool: &PgPool, message_id: Uuid) -> Result<Option<Sending>, sqlx::Error> {
    sqlx::query_as(
        "-- message::read_sending
         SELECT payload, coalesce(callback_url, url) AS url, coalesce(enabled, true) AS enabled, keys.secret,
                CASE WHEN keys.previous_expires_at > now() THEN keys.previous_secret END AS previous_secret,
                floor(extract(epoch FROM now()))::bigint AS timestamp
         FROM webhook_messages AS message
         LEFT JOIN webhooks ON webhooks.id = message.webhook_id
         CROSS JOIN LATERAL (
             SELECT webhooks.secret, webhooks.previous_secret, webhooks.previous_expires_at WHERE webhooks.id IS NOT NULL
             UNION ALL
             SELECT secret, previous_secret, previous_expires_at FROM callback_secrets
             WHERE message.webhook_id IS NULL AND callback_secrets.user_id = message.user_id
         ) AS keys
         WHERE message.id = $1 AND removed_at IS NULL",
    )
    .bind(message_id)
    .fetch_optional(pool)
    .await
}

/// One attempt to send a message.
#[derive(Debug, Clone, Copy)]
pub struct AttemptRecord<'a> {
    /// From the request to the answer.
    pub duration: Duration,
    /// The answer's status; `None` if none came.
    pub status: Option<u16>,
    /// `None` if the message was delivered.
    pub error_class: Option<&'a str>,
}

/// Adds an attempt to the log. Does nothing if the message is gone.
pub async fn record_attempt(
    pool: &PgPool,
    message_id: Uuid,
    attempt: AttemptRecord<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- message::record_attempt
         INSERT INTO webhook_deliveries (message_id, duration_ms, status, error_class)
         SELECT id, $2, $3, $4 FROM webhook_messages WHERE id = $1 FOR KEY SHARE",
    )
    .bind(message_id)
    .bind(i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX))
    .bind(attempt.status.map(i32::from))
    .bind(attempt.error_class)
    .execute(pool)
    .await?;
    Ok(())
}

/// Records that the receiver accepted the message.
pub async fn set_delivered(tx: &mut PgConnection, message_id: Uuid) -> Result<(), sqlx::Error> {
    end(tx, message_id, "delivered").await
}

/// Records that no further attempt follows.
pub async fn set_failed(tx: &mut PgConnection, message_id: Uuid) -> Result<(), sqlx::Error> {
    end(tx, message_id, "failed").await
}

async fn end(tx: &mut PgConnection, message_id: Uuid, state: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- message::end
         UPDATE webhook_messages SET state = $2, ended_at = now() WHERE id = $1",
    )
    .bind(message_id)
    .bind(state)
    .execute(tx)
    .await?;
    Ok(())
}

/// The receiver answered 410: disables the subscription, unless it changed since the request was sent, or removes
/// the callback. Locks the subscription before the message, as its removal does.
pub async fn disable_receiver(
    tx: &mut PgConnection,
    message_id: Uuid,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- message::disable_webhook
         UPDATE webhooks SET enabled = false, disabled_reason = $2
         WHERE enabled AND updated_at <= (
                 SELECT max(attempted_at - duration_ms * interval '1 ms') FROM webhook_deliveries WHERE message_id = $1)
             AND id = (SELECT webhook_id FROM webhook_messages WHERE id = $1)",
    )
    .bind(message_id)
    .bind(reason)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "-- message::remove_callback
         DELETE FROM lecture_callbacks AS callback USING webhook_messages AS message
         WHERE message.id = $1 AND callback.lecture_id = message.lecture_id
             AND callback.user_id = message.user_id AND callback.url = message.callback_url",
    )
    .bind(message_id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Whose messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Those to this subscription.
    Webhook(Uuid),
    /// Those to the callbacks of this user.
    Callbacks(Uuid),
}

impl Owner {
    /// Subscription and user; one is `None`.
    fn ids(self) -> (Option<Uuid>, Option<Uuid>) {
        match self {
            Self::Webhook(id) => (Some(id), None),
            Self::Callbacks(user_id) => (None, Some(user_id)),
        }
    }
}

/// A message and its newest attempts.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct MessageView {
    /// The header `webhook-id` of every attempt.
    pub id: Uuid,
    /// The event's name.
    pub event: String,
    /// The lecture, which may be deleted.
    pub lecture_id: Option<Uuid>,
    /// The callback's URL without its query; null for a subscription.
    pub callback_url: Option<String>,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// When the event happened.
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the next attempt is due, at the earliest.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The newest 20, newest first.
    #[sqlx(json)]
    pub attempts: Vec<AttemptView>,
}

/// One attempt to send a message.
#[derive(Debug, Clone, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct AttemptView {
    /// When it began to wait for the answer, or was refused.
    pub attempted_at: DateTime<Utc>,
    /// Milliseconds from the request to the answer.
    pub duration_ms: i32,
    /// The answer's status; null if none came.
    pub status: Option<i32>,
    /// Stable word for the failure; null if it was delivered.
    pub error_class: Option<String>,
}

/// Up to `limit` messages, newest first, before the message `before`.
pub async fn page(
    connection: &mut PgConnection,
    owner: Owner,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<MessageView>, sqlx::Error> {
    // One statement for each kind of owner: each has its index.
    macro_rules! page_of {
        ($name:literal, $condition:literal) => {
            concat!(
                "-- message::",
                $name,
                "\nSELECT message.id, event, lecture_id, substring(callback_url FROM '^[^?#]*') AS callback_url, state,
                        created_at, ended_at, job.run_at AS next_attempt_at, log.attempts
                 FROM (SELECT * FROM webhook_messages
                       WHERE ",
                $condition,
                " AND ($2::uuid IS NULL
                            OR (created_at, id) < (SELECT created_at, id FROM webhook_messages WHERE id = $2))
                       ORDER BY created_at DESC, id DESC LIMIT $3) AS message
                 CROSS JOIN LATERAL (
                     SELECT coalesce(jsonb_agg(to_jsonb(newest) ORDER BY newest.id DESC), '[]') AS attempts
                     FROM (SELECT id, attempted_at, duration_ms, status, error_class FROM webhook_deliveries
                           WHERE message_id = message.id ORDER BY id DESC LIMIT $4) AS newest
                 ) AS log
                 LEFT JOIN LATERAL (
                     SELECT least(greatest(run_at, '0001-01-01 00:00Z'), '9999-12-31 00:00Z') AS run_at FROM queue.jobs
                     WHERE subject = message.id AND state = 'available' ORDER BY jobs.id DESC LIMIT 1
                 ) AS job ON true
                 ORDER BY created_at DESC, message.id DESC"
            )
        };
    }
    let (statement, id) = match owner {
        Owner::Webhook(id) => (page_of!("page_of_webhook", "webhook_id = $1"), id),
        Owner::Callbacks(id) => (page_of!("page_of_callbacks", "webhook_id IS NULL AND user_id = $1"), id),
    };
    sqlx::query_as(statement)
        .bind(id)
        .bind(before)
        .bind(limit)
        .bind(SHOWN_ATTEMPTS)
        .fetch_all(connection)
        .await
}

/// Outcome of [`redeliver`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivered {
    /// The owner has no such message.
    NotFound,
    /// The subscription is disabled.
    Disabled,
    /// This job sends it. Wake the workers after the commit.
    Due(Uuid),
}

/// Sends a message again, with the same id and body. Locks its job before the message, as a delivery's end and a prune do.
///
/// Roll back unless the answer is [`Redelivered::Due`].
pub async fn redeliver(
    tx: &mut PgConnection,
    owner: Owner,
    message_id: Uuid,
) -> Result<Redelivered, sqlx::Error> {
    let (webhook_id, user_id) = owner.ids();
    let message: Option<(Option<String>, bool)> = sqlx::query_as(
        "-- message::to_redeliver
         SELECT message.callback_url, coalesce(enabled, true)
         FROM webhook_messages AS message LEFT JOIN webhooks ON webhooks.id = message.webhook_id
         WHERE message.id = $1 AND message.webhook_id IS NOT DISTINCT FROM $2
             AND ($3::uuid IS NULL OR message.user_id = $3) AND removed_at IS NULL",
    )
    .bind(message_id)
    .bind(webhook_id)
    .bind(user_id)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((callback_url, enabled)) = message else { return Ok(Redelivered::NotFound) };
    if !enabled {
        return Ok(Redelivered::Disabled);
    }
    let group = match owner {
        Owner::Webhook(id) => Some(ReceiverGroup::Webhook(id)),
        Owner::Callbacks(user_id) => callback_url.and_then(|url| ReceiverGroup::of_callback(user_id, &url)),
    };
    let job: NewJob = DeliverWebhook::job(message_id, group.as_ref());
    let enqueued = enqueue(&mut *tx, &job).await?;
    if !enqueued.created {
        pull_forward(&mut *tx, message_id).await?;
    }
    let due = sqlx::query(
        "-- message::redeliver
         UPDATE webhook_messages SET state = 'pending', ended_at = NULL WHERE id = $1",
    )
    .bind(message_id)
    .execute(tx)
    .await?;
    // No row: a prune deleted the message first.
    Ok(if due.rows_affected() == 1 { Redelivered::Due(enqueued.id) } else { Redelivered::NotFound })
}
