//! What users and operators do to subscriptions, for the API and the pages. What needs an admin's rights is recorded in
//! the audit log, in the same transaction.

use std::num::NonZeroU32;

use bedel_jobs::audit::{self, Action, Actor, Source};
use bedel_jobs::webhook::message::{self, Owner, Redelivered};
use bedel_jobs::webhook::publish;
use bedel_jobs::webhook::secret::SigningSecret;
use bedel_jobs::webhook::subscription::{self, Change, NewSubscription, Scope, SubscriptionView};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::problem::Problem;
use super::super::state::ApiState;
use super::shared::{QueuedMessage, no_webhook};

/// Who acts, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By {
    caller: Caller,
    source: Source,
}

impl By {
    /// A caller of the API.
    pub(super) fn api(caller: Caller) -> Self {
        Self { caller, source: Source::Api }
    }

    /// A user of the pages.
    pub(crate) fn ui(caller: Caller) -> Self {
        Self { caller, source: Source::Ui }
    }

    /// Records an action of an admin, or on a subscription to everything. Of the URL only the host is stored: the rest
    /// may be a secret.
    async fn record(
        self,
        tx: &mut PgConnection,
        action: Action,
        webhook: &SubscriptionView,
        mut detail: Value,
    ) -> Result<(), sqlx::Error> {
        if !self.caller.admin && webhook.scope == Scope::Own {
            return Ok(());
        }
        let url = Url::parse(&webhook.url).ok();
        detail["host"] = json!(url.as_ref().and_then(Url::host_str));
        detail["user_id"] = json!(webhook.user_id);
        let by = Actor { user_id: Some(self.caller.user_id), source: self.source };
        let jobs = i64::from(matches!(action, Action::TestWebhook | Action::RedeliverWebhook));
        audit::record(tx, by, action, Some(&webhook.id.to_string()), jobs, detail).await
    }
}

/// Makes a subscription. 409 if the user has the most allowed.
pub(crate) async fn create(
    state: &ApiState,
    by: By,
    new: &NewSubscription,
) -> Result<(SubscriptionView, SigningSecret), Problem> {
    let mut tx = state.begin().await?;
    let Some((webhook, secret)) = subscription::create(&mut tx, by.caller.user_id, new).await? else {
        return Err(Problem::conflict(format!(
            "You have {} webhooks already. Remove one first.",
            subscription::MAX_PER_USER
        )));
    };
    let detail = json!({ "scope": webhook.scope, "events": webhook.events });
    by.record(&mut tx, Action::CreateWebhook, &webhook, detail).await?;
    tx.commit().await?;
    Ok((webhook, secret))
}

/// Changes a subscription.
pub(crate) async fn change(
    state: &ApiState,
    by: By,
    id: Uuid,
    change: &Change,
) -> Result<SubscriptionView, Problem> {
    let mut tx = state.begin().await?;
    let changed = subscription::change(&mut tx, by.caller.limited_to(), id, change).await?;
    let webhook = changed.ok_or_else(no_webhook)?;
    let mut detail = json!({ "url": change.url.is_some() });
    if let Some(events) = &change.events {
        detail["events"] = json!(events);
    }
    if let Some(enabled) = change.enabled {
        detail["enabled"] = json!(enabled);
    }
    by.record(&mut tx, Action::ChangeWebhook, &webhook, detail).await?;
    tx.commit().await?;
    Ok(webhook)
}

/// Replaces the secret. Returns the new one, and when the old one stops signing.
pub(crate) async fn rotate(
    state: &ApiState,
    by: By,
    id: Uuid,
) -> Result<(SigningSecret, DateTime<Utc>), Problem> {
    let mut tx = state.begin().await?;
    let webhook = find(&mut tx, by.caller, id).await?;
    let rotated = subscription::rotate(&mut tx, by.caller.limited_to(), id).await?;
    let rotated = rotated.ok_or_else(no_webhook)?;
    by.record(&mut tx, Action::RotateWebhook, &webhook, json!({})).await?;
    tx.commit().await?;
    Ok(rotated)
}

/// Removes a subscription.
pub(crate) async fn remove(state: &ApiState, by: By, id: Uuid) -> Result<(), Problem> {
    let mut tx = state.begin().await?;
    let removed = subscription::remove(&mut tx, by.caller.limited_to(), id).await?;
    let webhook = removed.ok_or_else(no_webhook)?;
    by.record(&mut tx, Action::RemoveWebhook, &webhook, json!({})).await?;
    tx.commit().await?;
    Ok(())
}

/// Queues a test message to a subscription, within the user's rate limit. `None` if it is disabled.
pub(crate) async fn queue_test(state: &ApiState, by: By, id: Uuid) -> Result<Option<QueuedMessage>, Problem> {
    state.limits.admit(by.caller.user_id, NonZeroU32::MIN)?;
    let mut tx = state.begin().await?;
    let webhook = find(&mut tx, by.caller, id).await?;
    let Some((message_id, job)) = publish::test(&mut tx, id).await? else { return Ok(None) };
    let job_id = bedel_queue::enqueue(&mut tx, &job).await?.id;
    by.record(&mut tx, Action::TestWebhook, &webhook, json!({ "message_id": message_id })).await?;
    tx.commit().await?;
    state.queue.wake();
    Ok(Some(QueuedMessage { message_id, job_id }))
}

/// Queues a message again, within the user's rate limit: one to this subscription, or to a callback of the caller's
/// (`None`). `None` if the subscription is disabled.
pub(crate) async fn redeliver(
    state: &ApiState,
    by: By,
    webhook_id: Option<Uuid>,
    message_id: Uuid,
) -> Result<Option<QueuedMessage>, Problem> {
    state.limits.admit(by.caller.user_id, NonZeroU32::MIN)?;
    let mut tx = state.begin().await?;
    let webhook = match webhook_id {
        Some(id) => Some(find(&mut tx, by.caller, id).await?),
        None => None,
    };
    let owner = webhook_id.map_or(Owner::Callbacks(by.caller.user_id), Owner::Webhook);
    let job_id = match message::redeliver(&mut tx, owner, message_id).await? {
        Redelivered::NotFound => return Err(Problem::not_found("There is no such message.")),
        Redelivered::Disabled => return Ok(None),
        Redelivered::Due(job_id) => job_id,
    };
    if let Some(webhook) = webhook {
        let detail = json!({ "message_id": message_id });
        by.record(&mut tx, Action::RedeliverWebhook, &webhook, detail).await?;
    }
    tx.commit().await?;
    state.queue.wake();
    Ok(Some(QueuedMessage { message_id, job_id }))
}

/// A subscription that the caller may change.
async fn find(connection: &mut PgConnection, caller: Caller, id: Uuid) -> Result<SubscriptionView, Problem> {
    subscription::read(connection, caller.limited_to(), id).await?.ok_or_else(no_webhook)
}
