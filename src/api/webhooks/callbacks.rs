//! Callbacks of submissions: their secret and their messages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::webhook::callback;
use bedel_jobs::webhook::message::Owner;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::auth::Caller;
use super::super::body::Id;
use super::super::problem::Problem;
use super::super::query::QueryFields;
use super::super::state::ApiState;
use super::actions::{self, By};
use super::messages::{self, MessagePage};
use super::shared::{QueuedMessage, RotatedSecret, disabled};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(callback_secret))
        .routes(routes!(rotate_callback_secret))
        .routes(routes!(callback_deliveries))
        .routes(routes!(redeliver_callback))
}

/// The secret of a user's callbacks.
#[derive(Serialize, ToSchema)]
struct CallbackSecret {
    /// The signing secret, `whsec_…`, of all your callbacks.
    secret: String,
}

/// Get the secret of your callbacks
///
/// It signs the messages to every `callback_url` that you submit, and is made on first use. A read-only token does not
/// get it.
#[utoipa::path(
    put, path = "/api/webhooks/callbacks/secret", tag = "webhooks",
    responses((status = 200, description = "The secret", body = CallbackSecret)),
)]
async fn callback_secret(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<CallbackSecret>, Problem> {
    let mut tx = state.begin().await?;
    let secret = callback::secret(&mut tx, caller.user_id).await?;
    tx.commit().await?;
    Ok(Json(CallbackSecret { secret: secret.reveal() }))
}

/// Rotate the secret of your callbacks
///
/// For 24 hours both secrets sign.
#[utoipa::path(
    post, path = "/api/webhooks/callbacks/secret/rotate", tag = "webhooks",
    responses((status = 200, description = "The new secret", body = RotatedSecret)),
)]
async fn rotate_callback_secret(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<RotatedSecret>, Problem> {
    let mut tx = state.begin().await?;
    let rotated = callback::rotate(&mut tx, caller.user_id).await?;
    tx.commit().await?;
    Ok(Json(rotated.into()))
}

/// List the messages to your callbacks
#[utoipa::path(
    get, path = "/api/webhooks/callbacks/deliveries", tag = "webhooks",
    params(
        ("cursor" = Option<Uuid>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "Page size; 50 by default", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page, newest first; 30 days are kept", body = MessagePage)),
)]
async fn callback_deliveries(
    State(state): State<ApiState>,
    caller: Caller,
    query: QueryFields,
) -> Result<Json<MessagePage>, Problem> {
    let mut connection = state.acquire().await?;
    messages::page(&mut connection, Owner::Callbacks(caller.user_id), query).await.map(Json)
}

/// Deliver a message to a callback again
///
/// With the same id and body, and a fresh signature.
#[utoipa::path(
    post, path = "/api/webhooks/callbacks/deliveries/{id}/redeliver", tag = "webhooks",
    params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "The message is queued", body = QueuedMessage),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn redeliver_callback(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Response, Problem> {
    let queued = actions::redeliver(&state, By::api(caller), None, id).await?.ok_or_else(disabled)?;
    Ok((StatusCode::ACCEPTED, Json(queued)).into_response())
}
