//! Pages of messages, and their redelivery, for either kind of receiver.

use std::num::NonZeroU32;

use bedel_jobs::webhook::message::{self, MessageView, Owner, Redelivered};
use bedel_jobs::webhook::{publish, subscription};
use serde::Serialize;
use sqlx::{PgConnection, Postgres, Transaction};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::problem::Problem;
use super::super::query::QueryFields;
use super::super::state::ApiState;
use super::shared::{QueuedMessage, no_webhook};

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 100;

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(super) struct MessagePage {
    /// Newest first.
    deliveries: Vec<MessageView>,
    /// For the next page; null after the last page.
    next_cursor: Option<Uuid>,
}

pub(super) async fn page(
    connection: &mut PgConnection,
    owner: Owner,
    mut query: QueryFields,
) -> Result<MessagePage, Problem> {
    let cursor = query.parsed("cursor", "cursor", "this must be `next_cursor` of the page before");
    let limit = query.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    query.finish()?;
    let deliveries = message::page(connection, owner, cursor, limit).await?;
    let full = i64::try_from(deliveries.len()) == Ok(limit);
    let next_cursor = deliveries.last().filter(|_| full).map(|message| message.id);
    Ok(MessagePage { deliveries, next_cursor })
}

/// Queues a test message to a webhook of the caller's. `None` if it is disabled.
pub(crate) async fn queue_test(
    state: &ApiState,
    caller: Caller,
    id: Uuid,
) -> Result<Option<QueuedMessage>, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let mut tx = state.begin().await?;
    if subscription::read(&mut tx, caller.limited_to(), id).await?.is_none() {
        return Err(no_webhook());
    }
    let Some((message_id, job)) = publish::test(&mut tx, id).await? else { return Ok(None) };
    let job_id = bedel_queue::enqueue(&mut tx, &job).await?.id;
    tx.commit().await?;
    state.queue.wake();
    Ok(Some(QueuedMessage { message_id, job_id }))
}

/// Queues a message again. `None` if its webhook is disabled.
pub(crate) async fn redeliver(
    state: &ApiState,
    mut tx: Transaction<'static, Postgres>,
    owner: Owner,
    message_id: Uuid,
) -> Result<Option<QueuedMessage>, Problem> {
    match message::redeliver(&mut tx, owner, message_id).await? {
        Redelivered::NotFound => Err(Problem::not_found("There is no such message.")),
        Redelivered::Disabled => Ok(None),
        Redelivered::Due(job_id) => {
            tx.commit().await?;
            state.queue.wake();
            Ok(Some(QueuedMessage { message_id, job_id }))
        }
    }
}
