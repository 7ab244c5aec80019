//! Callbacks: the `callback_url` of a submission, one for each user of a lecture.
//!
//! All callbacks of a user share one secret, which is made with the first callback or on request. A callback stays
//! until its lecture is deleted or its receiver answers 410, so it also tells of later transcriptions.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::secret::{GRACE_HOURS, SigningSecret};
use crate::user::ensure_user_exists;

/// Stores the user's callback of a lecture, instead of an earlier one. The URL was checked.
pub async fn store(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    user_id: Uuid,
    url: &str,
) -> Result<(), sqlx::Error> {
    secret(tx, user_id).await?;
    sqlx::query(
        "-- callback::store
         INSERT INTO lecture_callbacks (lecture_id, user_id, url) VALUES ($1, $2, $3)
         ON CONFLICT (lecture_id, user_id) DO UPDATE SET url = EXCLUDED.url",
    )
    .bind(lecture_id)
    .bind(user_id)
    .bind(url)
    .execute(tx)
    .await?;
    Ok(())
}

/// The secret of the user's callbacks; made if there is none.
pub async fn secret(tx: &mut PgConnection, user_id: Uuid) -> Result<SigningSecret, sqlx::Error> {
    ensure_user_exists(tx, user_id).await?;
    sqlx::query(
        "-- callback::make_secret
         INSERT INTO callback_secrets (user_id, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(user_id)
    .bind(SigningSecret::generate())
    .execute(&mut *tx)
    .await?;
    sqlx::query_scalar("-- callback::secret\nSELECT secret FROM callback_secrets WHERE user_id = $1")
        .bind(user_id)
        .fetch_one(tx)
        .await
}

/// Replaces the secret. Returns the new one, and when the old one stops signing.
pub async fn rotate(
    tx: &mut PgConnection,
    user_id: Uuid,
) -> Result<(SigningSecret, DateTime<Utc>), sqlx::Error> {
    secret(tx, user_id).await?;
    sqlx::query_as(
        "-- callback::rotate
         UPDATE callback_secrets
         SET secret = $2, previous_secret = secret, previous_expires_at = now() + make_interval(hours => $3)
         WHERE user_id = $1
         RETURNING secret, previous_expires_at",
    )
    .bind(user_id)
    .bind(SigningSecret::generate())
    .bind(GRACE_HOURS)
    .fetch_one(tx)
    .await
}
