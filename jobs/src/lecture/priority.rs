//! Fairness between users: submitting a whole term at once does not delay other users.

use sqlx::PgConnection;
use uuid::Uuid;

/// Unfinished lectures of a user at normal priority; further ones run after other users' lectures.
const MAX_AT_NORMAL: i64 = 10;

/// Priority of a user's first [`MAX_AT_NORMAL`] lectures.
const NORMAL: i16 = 2;

/// Priority of a user's further lectures.
const LOW: i16 = 3;

/// Newest links of a user that are searched for unfinished lectures: the cost is the same for any user.
const SCANNED_LINKS: i64 = 100;

/// The priority of a lecture's next job, which later stages keep: lower if the user already has many other
/// unfinished lectures, or completed ones that are transcribed again.
pub(super) async fn of_next_job(
    tx: &mut PgConnection,
    user_id: Option<Uuid>,
    lecture_id: Uuid,
) -> Result<i16, sqlx::Error> {
    let Some(user_id) = user_id else { return Ok(NORMAL) };
    let unfinished: i64 = sqlx::query_scalar(
        "-- priority::of_next_job
         SELECT count(*)
         FROM (SELECT lecture_id FROM user_lectures
               WHERE user_id = $1 ORDER BY created_at DESC, lecture_id DESC LIMIT $2) AS newest
         JOIN lectures ON lectures.id = newest.lecture_id
         WHERE lectures.id <> $3 AND (
             status IN ('pending', 'downloading')
             OR EXISTS (SELECT FROM queue.jobs
                        WHERE unique_key = 'lecture:' || lectures.id AND state IN ('available', 'running')))",
    )
    .bind(user_id)
    .bind(SCANNED_LINKS)
    .bind(lecture_id)
    .fetch_one(tx)
    .await?;
    Ok(if unfinished < MAX_AT_NORMAL { NORMAL } else { LOW })
}
