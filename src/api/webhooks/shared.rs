//! What the handlers of webhooks share.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use bedel_jobs::webhook::secret::SigningSecret;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::problem::Problem;
use super::super::state::ApiState;

pub(crate) fn no_webhook() -> Problem {
    Problem::not_found("There is no such webhook.")
}

pub(super) fn disabled() -> Problem {
    Problem::conflict("This webhook is disabled, so nothing is sent. Enable it first.")
}

/// A new secret.
#[derive(Serialize, ToSchema)]
pub(super) struct RotatedSecret {
    /// The new signing secret, `whsec_…`. No later answer shows it.
    pub(super) secret: String,
    /// Until then the old secret signs too.
    pub(super) previous_secret_expires_at: DateTime<Utc>,
}

impl From<(SigningSecret, DateTime<Utc>)> for RotatedSecret {
    fn from((secret, previous_secret_expires_at): (SigningSecret, DateTime<Utc>)) -> Self {
        Self { secret: secret.reveal(), previous_secret_expires_at }
    }
}

/// A message that will be sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueuedMessage {
    /// The header `webhook-id`.
    pub(super) message_id: Uuid,
    /// The job that sends it.
    pub(super) job_id: Uuid,
}

/// The `{id}` and `{message_id}` of a path. Anything but UUIDs is 404.
pub(super) struct Ids(pub(super) Uuid, pub(super) Uuid);

impl FromRequestParts<ApiState> for Ids {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        match Path::<(Uuid, Uuid)>::from_request_parts(parts, state).await {
            Ok(Path((id, message_id))) => Ok(Self(id, message_id)),
            Err(_) => Err(no_webhook()),
        }
    }
}
