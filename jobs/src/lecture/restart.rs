//! Starting a lecture again, at the latest stage whose input still exists.

use std::time::Duration;

use bedel_queue::{Enqueued, NewJob, enqueue, enqueue_many};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Lecture, LectureStatus, priority};
use crate::environment::Settings;
use crate::pipeline;

/// Starts a lecture again: stored audio of known length is transcribed, stored audio is probed, and without audio the
/// lecture begins from the front. Its status becomes `pending` and its error is cleared. The lecture is locked by the
/// caller, as [`super::lock`] returned it; where a job for it is live, that one is found instead of a second one made.
///
/// # Errors
/// `RowNotFound` for a completed lecture, which stays as it is; else the database's.
pub async fn restart(
    tx: &mut PgConnection,
    lecture: &Lecture,
    settings: &Settings,
) -> Result<Enqueued, sqlx::Error> {
    restart_at(tx, lecture, settings, priority::NORMAL).await
}

/// As [`restart`], for a user who asked: after others' lectures where many of theirs are at work.
pub(super) async fn restart_for(
    tx: &mut PgConnection,
    user_id: Uuid,
    lecture: &Lecture,
    settings: &Settings,
) -> Result<Enqueued, sqlx::Error> {
    let priority = priority::of_next_job(tx, user_id, lecture.id).await?;
    restart_at(tx, lecture, settings, priority).await
}

async fn restart_at(
    tx: &mut PgConnection,
    lecture: &Lecture,
    settings: &Settings,
    priority: i16,
) -> Result<Enqueued, sqlx::Error> {
    let updated = sqlx::query(
        "-- restart::restart
         UPDATE lectures SET status = 'pending', error_message = NULL WHERE id = $1 AND status <> 'completed'",
    )
    .bind(lecture.id)
    .execute(&mut *tx)
    .await?;
    if updated.rows_affected() == 0 || lecture.status == LectureStatus::Completed {
        return Err(sqlx::Error::RowNotFound);
    }
    enqueue(tx, &pipeline::latest(lecture, settings).priority(priority)).await
}

/// Lectures that are looked up at a time.
const PORTION: i64 = 500;

/// Starts every lecture again that somebody is linked to, that is not at its end and that no job works for, `per_minute` of
/// them in a minute. For a database that was taken over: cleanup-orphans does the same for the few of every day, at once.
/// Returns how many.
///
/// # Errors
/// The database's. What was started before stays started: try again.
pub async fn restart_stuck(pool: &PgPool, settings: &Settings, per_minute: u32) -> Result<u64, sqlx::Error> {
    let apart = Duration::from_secs(60) / per_minute.max(1);
    let (mut after, mut started) = (Uuid::nil(), 0);
    loop {
        let mut tx = pool.begin().await?;
        let stuck: Vec<Lecture> = sqlx::query_as(
            "-- restart::stuck
             SELECT * FROM lectures
             WHERE id > $1 AND status IN ('pending', 'downloading')
                 AND EXISTS (SELECT FROM user_lectures WHERE lecture_id = lectures.id)
                 AND NOT EXISTS (SELECT FROM queue.jobs
                                 WHERE unique_key = 'lecture:' || lectures.id AND state IN ('available', 'running'))
             ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(PORTION)
        .fetch_all(&mut *tx)
        .await?;
        let Some(last) = stuck.last() else { return Ok(started) };
        after = last.id;
        let jobs: Vec<NewJob> = (u32::try_from(started).unwrap_or(u32::MAX)..)
            .zip(&stuck)
            .map(|(place, lecture)| pipeline::latest(lecture, settings).delay(apart.saturating_mul(place)))
            .collect();
        started += jobs.len() as u64;
        enqueue_many(&mut tx, &jobs).await?;
        tx.commit().await?;
    }
}
