//! The messages to a subscription.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::webhook::message::Owner;
use bedel_jobs::webhook::subscription;

use super::super::auth::Caller;
use super::super::body::Id;
use super::super::problem::Problem;
use super::super::query::QueryFields;
use super::super::state::ApiState;
use super::actions::{self, By};
use super::messages::{self, MessagePage};
use super::shared::{Ids, QueuedMessage, disabled, no_webhook};

/// List the messages to a webhook
#[utoipa::path(
    get, path = "/api/webhooks/{id}/deliveries", tag = "webhooks",
    params(
        ("id" = Uuid, Path),
        ("cursor" = Option<Uuid>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "Page size; 50 by default", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page, newest first; 30 days are kept", body = MessagePage)),
)]
pub(super) async fn deliveries(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    query: QueryFields,
) -> Result<Json<MessagePage>, Problem> {
    let mut connection = state.acquire().await?;
    if subscription::read(&mut connection, caller.limited_to(), id).await?.is_none() {
        return Err(no_webhook());
    }
    messages::page(&mut connection, Owner::Webhook(id), query).await.map(Json)
}

/// Deliver a message again
///
/// With the same id and body, and a fresh signature.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/deliveries/{message_id}/redeliver", tag = "webhooks",
    params(("id" = Uuid, Path), ("message_id" = Uuid, Path)),
    responses(
        (status = 202, description = "The message is queued", body = QueuedMessage),
        (status = 409, description = "`conflict`: the webhook is disabled"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
pub(super) async fn redeliver(
    State(state): State<ApiState>,
    caller: Caller,
    Ids(id, message_id): Ids,
) -> Result<Response, Problem> {
    let queued = actions::redeliver(&state, By::api(caller), Some(id), message_id).await?;
    let queued = queued.ok_or_else(disabled)?;
    Ok((StatusCode::ACCEPTED, Json(queued)).into_response())
}
