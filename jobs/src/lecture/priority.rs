//! Fairness between users: who hands in a whole term at once delays nobody else.

use sqlx::PgConnection;
use uuid::Uuid;

/// Live lectures of a user beyond so many come after those of others.
const LIVE_AT_ONCE: i64 = 10;

/// The priorities of jobs up to there, and of those beyond.
pub(super) const NORMAL: i16 = 2;
const LATER: i16 = 3;

/// Links among which a user's live lectures are looked for, the newest: the cost is the same for any user.
const LOOKED_AT: i64 = 100;

/// The priority of a lecture's next job, which the stages after it keep: lower where the user has many other lectures at work
/// already, so that one who hands in a whole term delays nobody else.
pub(super) async fn of_next_job(
    tx: &mut PgConnection,
    user_id: Uuid,
    lecture_id: Uuid,
) -> Result<i16, sqlx::Error> {
    let live: i64 = sqlx::query_scalar(
        "-- priority::of_next_job
         SELECT count(*)
         FROM (SELECT lecture_id FROM user_lectures
               WHERE user_id = $1 ORDER BY created_at DESC, lecture_id DESC LIMIT $2) AS newest
         JOIN lectures ON lectures.id = newest.lecture_id
         WHERE status IN ('pending', 'downloading') AND lectures.id <> $3",
    )
    .bind(user_id)
    .bind(LOOKED_AT)
    .bind(lecture_id)
    .fetch_one(tx)
    .await?;
    Ok(if live < LIVE_AT_ONCE { NORMAL } else { LATER })
}
