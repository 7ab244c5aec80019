//! Pages of messages, for either kind of receiver.

use bedel_jobs::webhook::message::{self, MessageView, Owner};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::problem::Problem;
use super::super::query::QueryFields;

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
