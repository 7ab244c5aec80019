//! Webhooks: subscriptions, and the secret of a user's callbacks.

pub(crate) mod actions;
mod callbacks;
mod deliveries;
mod messages;
mod shared;

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::webhook::event::Event;
use bedel_jobs::webhook::receiver_url;
use bedel_jobs::webhook::subscription::{self, Change, NewSubscription, Scope, SubscriptionView};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::body::{Fields, Id};
use super::problem::Problem;
use super::state::ApiState;
use actions::By;
pub(crate) use shared::no_webhook;
use shared::{QueuedMessage, RotatedSecret, disabled};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, remove))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(deliveries::redeliver))
        .merge(callbacks::routes())
}

/// The subscriptions.
#[derive(Serialize, ToSchema)]
struct Webhooks {
    /// Oldest first.
    webhooks: Vec<SubscriptionView>,
}

/// List your webhooks
///
/// Admins also see those of others with the scope `all`.
#[utoipa::path(
    get, path = "/api/webhooks", tag = "webhooks",
    responses((status = 200, description = "Without their secrets", body = Webhooks)),
)]
async fn list(State(state): State<ApiState>, caller: Caller) -> Result<Json<Webhooks>, Problem> {
    let mut connection = state.acquire().await?;
    let webhooks = subscription::list(&mut connection, caller.user_id, caller.admin).await?;
    Ok(Json(Webhooks { webhooks }))
}

/// A subscription to make.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
struct NewWebhook {
    /// The receiver: a public https address, or one that the operators allow.
    #[schema(example = "https://example.edu/hooks/bedel", max_length = 4096)]
    url: String,
    /// By default `lecture.completed` and `lecture.failed`, and `job.discarded` with the scope `all`, which alone may
    /// have it.
    events: Option<Vec<Event>>,
    /// `own` by default; `all` is for admins.
    scope: Option<Scope>,
}

/// A new subscription.
#[derive(Serialize, ToSchema)]
struct CreatedWebhook {
    #[serde(flatten)]
    webhook: SubscriptionView,
    /// The signing secret, `whsec_…`. No later answer shows it.
    secret: String,
}

/// Make a webhook
#[utoipa::path(
    post, path = "/api/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses(
        (status = 201, description = "The webhook with its secret, which no later answer shows", body = CreatedWebhook),
        (status = 403, description = "`forbidden`: only admins may use the scope `all`"),
        (status = 409, description = "`conflict`: you have 20 webhooks"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let new = new_subscription(&state, caller, Fields::read(request).await?)?;
    let (webhook, secret) = actions::create(&state, By::api(caller), &new).await?;
    let body = CreatedWebhook { webhook, secret: secret.reveal() };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// The subscription that a body describes, checked for its caller.
pub(crate) fn new_subscription(
    state: &ApiState,
    caller: Caller,
    mut fields: Fields,
) -> Result<NewSubscription, Problem> {
    let scope = match fields.text("scope").as_deref() {
        None | Some("own") => Scope::Own,
        Some("all") => Scope::All,
        Some(_) => fields.refuse("scope", "choice", "this must be own or all").unwrap_or(Scope::Own),
    };
    let url = fields.required_text("url").and_then(|url| checked_url(&mut fields, state, &url));
    let events = events(&mut fields, scope).unwrap_or_else(|| default_events(scope));
    fields.finish()?;
    if scope == Scope::All && !caller.admin {
        return Err(Problem::forbidden("Only admins may use the scope all. Use the scope own."));
    }
    Ok(NewSubscription { scope, url: url.unwrap_or_default(), events })
}

fn checked_url(fields: &mut Fields, state: &ApiState, url: &str) -> Option<String> {
    match receiver_url::check("url", url, &state.environment.settings) {
        Ok(url) => Some(url),
        Err(refused) => fields.refuse(refused.field, refused.code, refused.message),
    }
}

fn default_events(scope: Scope) -> Vec<String> {
    let more = (scope == Scope::All).then_some(Event::JobDiscarded);
    Event::OF_LECTURES.into_iter().chain(more).map(|event| event.name().to_owned()).collect()
}

/// The named events, each once. `None` if the field is missing or invalid.
fn events(fields: &mut Fields, scope: Scope) -> Option<Vec<String>> {
    let names = fields.optional_texts("events")?;
    let mut events = Vec::new();
    for name in names {
        let event: Event = match name.parse() {
            Ok(event) => event,
            Err(error) => {
                return fields.refuse("events", "choice", format!("{error}"));
            }
        };
        if event == Event::JobDiscarded && scope == Scope::Own {
            return fields.refuse("events", "scope", "job.discarded needs the scope all");
        }
        if !events.contains(&name) {
            events.push(name);
        }
    }
    if events.is_empty() {
        return fields.refuse("events", "length", "name at least one event");
    }
    Some(events)
}

/// Show a webhook
#[utoipa::path(
    get, path = "/api/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Without its secret", body = SubscriptionView)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<SubscriptionView>, Problem> {
    let mut connection = state.acquire().await?;
    subscription::read(&mut connection, caller.limited_to(), id).await?.map(Json).ok_or_else(no_webhook)
}

/// Changes; fields that are left out stay.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
struct WebhookChange {
    #[schema(max_length = 4096)]
    url: Option<String>,
    events: Option<Vec<Event>>,
    /// False: nothing is sent. True also ends a disabling by status 410.
    enabled: Option<bool>,
}

/// Change a webhook
///
/// Also enables and disables it.
#[utoipa::path(
    patch, path = "/api/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)), request_body = WebhookChange,
    responses((status = 200, description = "The changed webhook", body = SubscriptionView)),
)]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    request: Request,
) -> Result<Json<SubscriptionView>, Problem> {
    let mut fields = Fields::read(request).await?;
    let known = subscription::read(&mut *state.acquire().await?, caller.limited_to(), id).await?;
    let scope = known.ok_or_else(no_webhook)?.scope;
    let url = fields.text("url").and_then(|url| checked_url(&mut fields, &state, &url));
    let change = Change { url, events: events(&mut fields, scope), enabled: fields.optional_flag("enabled") };
    fields.finish()?;
    actions::change(&state, By::api(caller), id, &change).await.map(Json)
}

/// Remove a webhook
///
/// Its messages go too; those that wait are not sent.
#[utoipa::path(
    delete, path = "/api/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Removed")),
)]
async fn remove(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    actions::remove(&state, By::api(caller), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate a webhook's secret
///
/// For 24 hours both secrets sign.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/rotate", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The new secret, which no later answer shows", body = RotatedSecret)),
)]
async fn rotate(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<RotatedSecret>, Problem> {
    actions::rotate(&state, By::api(caller), id).await.map(|rotated| Json(rotated.into()))
}

/// Send a test message
///
/// Of the type `webhook.test`. The deliveries show how it went.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/test", tag = "webhooks", params(("id" = Uuid, Path)),
    responses(
        (status = 202, description = "The message is queued", body = QueuedMessage),
        (status = 409, description = "`conflict`: the webhook is disabled"),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
async fn test(State(state): State<ApiState>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    let queued = actions::queue_test(&state, By::api(caller), id).await?.ok_or_else(disabled)?;
    Ok((StatusCode::ACCEPTED, Json(queued)).into_response())
}
