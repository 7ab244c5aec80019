//! Publishes events: one message for each receiver, and the jobs that send them.
//!
//! Each function works in the caller's transaction and returns the jobs, which the caller enqueues in the same one.

use bedel_queue::{Discarded, Job, NewJob};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::event::{Event, TEST};
use super::receiver_group::ReceiverGroup;
use crate::kinds::DeliverWebhook;

/// A receiver of an event.
#[derive(Debug, sqlx::FromRow)]
struct Receiver {
    /// `None`: a callback.
    webhook_id: Option<Uuid>,
    user_id: Uuid,
    url: String,
}

impl Receiver {
    fn group(&self) -> Option<ReceiverGroup> {
        match self.webhook_id {
            Some(id) => Some(ReceiverGroup::Webhook(id)),
            None => ReceiverGroup::of_callback(self.user_id, &self.url),
        }
    }
}

/// The facts of a lecture's payload, and the database's time.
#[derive(Debug, sqlx::FromRow)]
struct LectureFacts {
    course_id: Uuid,
    title: Option<String>,
    status: String,
    error_message: Option<String>,
    duration_seconds: Option<i32>,
    has_transcript: bool,
    now: DateTime<Utc>,
}

/// The body of every message.
#[derive(Debug, Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    event: &'a str,
    timestamp: DateTime<Utc>,
    data: Value,
}

/// A lecture ended by `event`: tells the subscriptions of its users, those to everything, and its callbacks. The row
/// already has its new status.
pub async fn lecture_ended(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    event: Event,
) -> Result<Vec<NewJob>, sqlx::Error> {
    // The locks let no subscription or user vanish before the messages refer to them.
    let mut receivers: Vec<Receiver> = sqlx::query_as(
        "-- publish::subscriptions_of_lecture
         SELECT webhooks.id AS webhook_id, webhooks.user_id, webhooks.url
         FROM users JOIN webhooks ON webhooks.user_id = users.id
         WHERE webhooks.id = ANY (ARRAY(
                 SELECT own.id FROM user_lectures AS link JOIN webhooks AS own ON own.user_id = link.user_id
                 WHERE link.lecture_id = $1 AND own.scope = 'own'
                 UNION ALL SELECT id FROM webhooks WHERE scope = 'all'))
             AND webhooks.enabled AND webhooks.removed_at IS NULL AND $2 = ANY (webhooks.events)
         FOR KEY SHARE OF users, webhooks",
    )
    .bind(lecture_id)
    .bind(event.name())
    .fetch_all(&mut *tx)
    .await?;
    receivers.extend(callbacks(tx, lecture_id, None).await?);
    tell_of_lecture(tx, lecture_id, event, receivers).await
}

/// A user submitted a completed lecture with a callback: tells that callback alone.
pub async fn lecture_was_completed(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    user_id: Uuid,
) -> Result<Vec<NewJob>, sqlx::Error> {
    let receivers = callbacks(tx, lecture_id, Some(user_id)).await?;
    tell_of_lecture(tx, lecture_id, Event::LectureCompleted, receivers).await
}

/// The callbacks of a lecture's linked users, or of one of them.
async fn callbacks(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    user_id: Option<Uuid>,
) -> Result<Vec<Receiver>, sqlx::Error> {
    sqlx::query_as(
        "-- publish::callbacks_of_lecture
         SELECT NULL::uuid AS webhook_id, callback.user_id, callback.url
         FROM users
         JOIN lecture_callbacks AS callback ON callback.user_id = users.id
         JOIN user_lectures AS link ON link.user_id = users.id AND link.lecture_id = callback.lecture_id
         WHERE callback.lecture_id = $1 AND ($2::uuid IS NULL OR callback.user_id = $2)
         FOR KEY SHARE OF users, callback",
    )
    .bind(lecture_id)
    .bind(user_id)
    .fetch_all(tx)
    .await
}

async fn tell_of_lecture(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    event: Event,
    receivers: Vec<Receiver>,
) -> Result<Vec<NewJob>, sqlx::Error> {
    if receivers.is_empty() {
        return Ok(Vec::new());
    }
    let lecture: LectureFacts = sqlx::query_as(
        "-- publish::lecture
         SELECT course_id, title, status::text AS status, error_message, duration_seconds,
                transcript_storage_key IS NOT NULL AS has_transcript, now() AS now
         FROM lectures WHERE id = $1",
    )
    .bind(lecture_id)
    .fetch_one(&mut *tx)
    .await?;
    let mut links = json!({ "lecture": format!("/api/lectures/{lecture_id}") });
    if lecture.has_transcript {
        links["transcript"] = json!(format!("/api/lectures/{lecture_id}/transcript"));
    }
    let payload = Payload {
        event: event.name(),
        timestamp: lecture.now,
        data: json!({
            "lecture_id": lecture_id,
            "course_id": lecture.course_id,
            "title": lecture.title,
            "status": lecture.status,
            "error_message": lecture.error_message,
            "duration_seconds": lecture.duration_seconds,
            "links": links,
        }),
    };
    write(tx, &payload, Some(lecture_id), &receivers).await
}

/// A job was discarded: tells the subscriptions to everything. Says nothing of `deliver-webhook`, whose failed messages
/// would cause further ones.
pub async fn job_discarded(tx: &mut PgConnection, discarded: &Discarded) -> Result<Vec<NewJob>, sqlx::Error> {
    if discarded.kind == DeliverWebhook::KIND {
        return Ok(Vec::new());
    }
    let event = Event::JobDiscarded.name();
    let receivers: Vec<Receiver> = sqlx::query_as(
        "-- publish::subscriptions_to_jobs
         SELECT webhooks.id AS webhook_id, webhooks.user_id, webhooks.url
         FROM users JOIN webhooks ON webhooks.user_id = users.id
         WHERE webhooks.scope = 'all' AND webhooks.enabled AND webhooks.removed_at IS NULL
             AND $1 = ANY (webhooks.events)
         FOR KEY SHARE OF users, webhooks",
    )
    .bind(event)
    .fetch_all(&mut *tx)
    .await?;
    if receivers.is_empty() {
        return Ok(Vec::new());
    }
    let data = json!({
        "job_id": discarded.job_id,
        "kind": discarded.kind,
        "subject": discarded.subject,
        "error_class": discarded.class,
        "error_message": discarded.message,
        "links": { "job": format!("/api/jobs/{}", discarded.job_id) },
    });
    let payload = Payload { event, timestamp: now(tx).await?, data };
    write(tx, &payload, None, &receivers).await
}

/// Sends a test message to a subscription. Returns the message's id and its job. `None` if the subscription does not
/// exist or is disabled.
pub async fn test(tx: &mut PgConnection, webhook_id: Uuid) -> Result<Option<(Uuid, NewJob)>, sqlx::Error> {
    let receiver: Option<Receiver> = sqlx::query_as(
        "-- publish::test
         SELECT webhooks.id AS webhook_id, webhooks.user_id, webhooks.url
         FROM users JOIN webhooks ON webhooks.user_id = users.id
         WHERE webhooks.id = $1 AND webhooks.enabled AND webhooks.removed_at IS NULL
         FOR KEY SHARE OF users, webhooks",
    )
    .bind(webhook_id)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(receiver) = receiver else { return Ok(None) };
    let data = json!({ "webhook_id": webhook_id });
    let payload = Payload { event: TEST, timestamp: now(tx).await?, data };
    let (ids, jobs) = write_messages(tx, &payload, None, &[receiver]).await?;
    Ok(ids.into_iter().zip(jobs).next())
}

async fn now(tx: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("-- publish::now\nSELECT now()").fetch_one(tx).await
}

async fn write(
    tx: &mut PgConnection,
    payload: &Payload<'_>,
    lecture_id: Option<Uuid>,
    receivers: &[Receiver],
) -> Result<Vec<NewJob>, sqlx::Error> {
    Ok(write_messages(tx, payload, lecture_id, receivers).await?.1)
}

/// Writes one message for each receiver. Returns their ids and jobs, in the order of `receivers`.
async fn write_messages(
    tx: &mut PgConnection,
    payload: &Payload<'_>,
    lecture_id: Option<Uuid>,
    receivers: &[Receiver],
) -> Result<(Vec<Uuid>, Vec<NewJob>), sqlx::Error> {
    let ids: Vec<Uuid> = receivers.iter().map(|_| Uuid::new_v4()).collect();
    let is_callback = |receiver: &Receiver| receiver.webhook_id.is_none();
    sqlx::query(
        "-- publish::write
         INSERT INTO webhook_messages (id, webhook_id, user_id, callback_url, lecture_id, event, payload)
         SELECT id, webhook_id, user_id, callback_url, $5, $6, $7
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])
              AS message (id, webhook_id, user_id, callback_url)",
    )
    .bind(&ids)
    .bind(receivers.iter().map(|receiver| receiver.webhook_id).collect::<Vec<_>>())
    .bind(receivers.iter().map(|receiver| receiver.user_id).collect::<Vec<_>>())
    .bind(
        receivers
            .iter()
            .map(|receiver| Some(receiver.url.as_str()).filter(|_| is_callback(receiver)))
            .collect::<Vec<_>>(),
    )
    .bind(lecture_id)
    .bind(payload.event)
    .bind(serde_json::to_string(payload).expect("plain data is JSON"))
    .execute(tx)
    .await?;
    let jobs = ids.iter().zip(receivers);
    let jobs = jobs.map(|(id, receiver)| DeliverWebhook::job(*id, receiver.group().as_ref())).collect();
    Ok((ids, jobs))
}
