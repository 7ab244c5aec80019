//! Standing subscriptions: rows of `webhooks`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::secret::{GRACE_HOURS, SigningSecret};
use crate::user::ensure_user_exists;

/// Most subscriptions of a user.
pub const MAX_PER_USER: i64 = 20;

/// What a subscription covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The lectures that its user is linked to.
    Own,
    /// All lectures, and discarded jobs. For admins.
    All,
}

/// A subscription as its user sees it, without its secrets.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct SubscriptionView {
    /// The subscription.
    pub id: Uuid,
    /// Its user.
    pub user_id: Uuid,
    /// What it covers.
    pub scope: Scope,
    /// The receiver's URL without its query, which may be a secret.
    pub url: String,
    /// The events' names.
    pub events: Vec<String>,
    /// False: nothing is sent.
    pub enabled: bool,
    /// Why it was disabled by itself.
    pub disabled_reason: Option<String>,
    /// Until when the previous secret signs too; null without one.
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, user_id, scope, substring(url FROM '^[^?#]*') AS url, events, enabled, disabled_reason,
         CASE WHEN previous_expires_at > now() THEN previous_expires_at END AS previous_secret_expires_at,
         created_at, updated_at"
    };
}

/// A subscription to make. All fields were checked.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// What it covers.
    pub scope: Scope,
    /// The receiver.
    pub url: String,
    /// Names of events, at least one.
    pub events: Vec<String>,
}

/// Makes a subscription. `None` if the user has [`MAX_PER_USER`].
pub async fn create(
    tx: &mut PgConnection,
    user_id: Uuid,
    new: &NewSubscription,
) -> Result<Option<(SubscriptionView, SigningSecret)>, sqlx::Error> {
    ensure_user_exists(tx, user_id).await?;
    // Concurrent requests of one user take turns, so the limit holds.
    sqlx::query("-- subscription::lock_user\nSELECT FROM users WHERE id = $1 FOR UPDATE")
        .bind(user_id)
        .execute(&mut *tx)
        .await?;
    let secret = SigningSecret::generate();
    let made = sqlx::query_as(concat!(
        "-- subscription::create
         INSERT INTO webhooks (user_id, scope, url, events, secret)
         SELECT $1, $2, $3, $4, $5
         WHERE (SELECT count(*) FROM webhooks WHERE user_id = $1 AND removed_at IS NULL) < $6
         RETURNING ",
        columns!()
    ))
    .bind(user_id)
    .bind(new.scope)
    .bind(&new.url)
    .bind(&new.events)
    .bind(&secret)
    .bind(MAX_PER_USER)
    .fetch_optional(tx)
    .await?;
    Ok(made.map(|view| (view, secret)))
}

/// The user's subscriptions, oldest first; for an admin also those of others to everything.
pub async fn list(
    connection: &mut PgConnection,
    user_id: Uuid,
    admin: bool,
) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- subscription::list
         SELECT ",
        columns!(),
        " FROM webhooks
         WHERE (user_id = $1 OR ($2 AND scope = 'all')) AND removed_at IS NULL
         ORDER BY created_at, id LIMIT 1000"
    ))
    .bind(user_id)
    .bind(admin)
    .fetch_all(connection)
    .await
}

/// One subscription of this user, or any (`None`).
pub async fn read(
    connection: &mut PgConnection,
    user_id: Option<Uuid>,
    id: Uuid,
) -> Result<Option<SubscriptionView>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- subscription::read\nSELECT ",
        columns!(),
        " FROM webhooks
         WHERE id = $1 AND ($2::uuid IS NULL OR (user_id = $2 AND scope = 'own')) AND removed_at IS NULL"
    ))
    .bind(id)
    .bind(user_id)
    .fetch_optional(connection)
    .await
}

/// Changes to a subscription; `None` leaves a field.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The receiver.
    pub url: Option<String>,
    /// Names of events.
    pub events: Option<Vec<String>>,
    /// On or off.
    pub enabled: Option<bool>,
}

/// Changes a subscription of this user, or any (`None`). Enabling it forgets why it was disabled.
pub async fn change(
    tx: &mut PgConnection,
    user_id: Option<Uuid>,
    id: Uuid,
    change: &Change,
) -> Result<Option<SubscriptionView>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- subscription::change
         UPDATE webhooks
         SET url = coalesce($3, url), events = coalesce($4, events), enabled = coalesce($5, enabled),
             disabled_reason = CASE WHEN coalesce($5, enabled) THEN NULL ELSE disabled_reason END
         WHERE id = $1 AND ($2::uuid IS NULL OR (user_id = $2 AND scope = 'own')) AND removed_at IS NULL
         RETURNING ",
        columns!()
    ))
    .bind(id)
    .bind(user_id)
    .bind(change.url.as_deref())
    .bind(change.events.as_deref())
    .bind(change.enabled)
    .fetch_optional(tx)
    .await
}

/// Replaces the secret. Returns the new one, and when the old one stops signing.
pub async fn rotate(
    tx: &mut PgConnection,
    user_id: Option<Uuid>,
    id: Uuid,
) -> Result<Option<(SigningSecret, DateTime<Utc>)>, sqlx::Error> {
    sqlx::query_as(
        "-- subscription::rotate
         UPDATE webhooks
         SET secret = $3, previous_secret = secret, previous_expires_at = now() + make_interval(hours => $4)
         WHERE id = $1 AND ($2::uuid IS NULL OR (user_id = $2 AND scope = 'own')) AND removed_at IS NULL
         RETURNING secret, previous_expires_at",
    )
    .bind(id)
    .bind(user_id)
    .bind(SigningSecret::generate())
    .bind(GRACE_HOURS)
    .fetch_optional(tx)
    .await
}

/// Removes a subscription of this user, or any (`None`): nothing shows it or sends to it any more. The job
/// `prune-webhooks` deletes it with its messages ([`prune`](super::prune)). Returns it as it was; `None` if there is none.
pub async fn remove(
    tx: &mut PgConnection,
    user_id: Option<Uuid>,
    id: Uuid,
) -> Result<Option<SubscriptionView>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- subscription::remove
         UPDATE webhooks SET removed_at = now(), enabled = false, disabled_reason = NULL
         WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2) AND removed_at IS NULL
         RETURNING ",
        columns!()
    ))
    .bind(id)
    .bind(user_id)
    .fetch_optional(tx)
    .await
}
