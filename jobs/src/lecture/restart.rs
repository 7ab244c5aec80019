//! Restarts a lecture at the latest stage whose input still exists.

use std::time::Duration;

use bedel_queue::{Enqueued, NewJob, enqueue, enqueue_many};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Lecture, LectureStatus, last_job, lecture_columns, priority};
use crate::environment::Settings;
use crate::pipeline;

/// Restarts a lecture: see [`pipeline::restart_job`] for the stage. Its status becomes `pending` and its
/// error is cleared. `lecture` is locked by the caller, as [`super::lock`] returned it. Returns a live job
/// instead of enqueueing a second one.
///
/// # Errors
/// `RowNotFound` for a completed lecture, which is not changed.
pub async fn restart(
    tx: &mut PgConnection,
    lecture: &Lecture,
    settings: &Settings,
) -> Result<Enqueued, sqlx::Error> {
    restart_for(tx, None, lecture, settings).await
}

/// As [`restart`], with the priority of the user who asked.
pub(super) async fn restart_for(
    tx: &mut PgConnection,
    user_id: Option<Uuid>,
    lecture: &Lecture,
    settings: &Settings,
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
    repeat(tx, user_id, lecture, settings).await
}

/// Enqueues the latest stage whose input still exists and leaves the row as it is: a completed lecture keeps its
/// status and transcript until the new transcript is stored. `lecture` is locked by the caller.
pub(super) async fn repeat(
    tx: &mut PgConnection,
    user_id: Option<Uuid>,
    lecture: &Lecture,
    settings: &Settings,
) -> Result<Enqueued, sqlx::Error> {
    let priority = priority::of_next_job(tx, user_id, lecture.id).await?;
    if let Some(job) = last_job::read(tx, lecture.id).await? {
        job.keep_choice(tx, lecture.id).await?;
    }
    enqueue(tx, &pipeline::restart_job(lecture, settings).priority(priority)).await
}

/// Lectures restarted in one transaction.
const BATCH_SIZE: i64 = 500;

/// Restarts every unfinished lecture with a linked user and no live job, `per_minute` of them in a minute.
/// For an adopted database: cleanup-orphans does the same for the few of every day, at once. Returns their
/// number.
///
/// # Errors
/// Lectures restarted before the error stay restarted: call it again.
pub async fn restart_stuck(pool: &PgPool, settings: &Settings, per_minute: u32) -> Result<u64, sqlx::Error> {
    let interval = Duration::from_secs(60) / per_minute.max(1);
    let (mut after, mut started) = (Uuid::nil(), 0);
    loop {
        let mut tx = pool.begin().await?;
        let stuck: Vec<Lecture> = sqlx::query_as(
            concat!("-- restart::stuck
             SELECT ", lecture_columns!(), " FROM lectures
             WHERE id > $1 AND status IN ('pending', 'downloading')
                 AND EXISTS (SELECT FROM user_lectures WHERE lecture_id = lectures.id)
                 AND NOT EXISTS (SELECT FROM queue.jobs
                                 WHERE unique_key = 'lecture:' || lectures.id AND state IN ('available', 'running'))
             ORDER BY id LIMIT $2"),
        )
        .bind(after)
        .bind(BATCH_SIZE)
        .fetch_all(&mut *tx)
        .await?;
        let Some(last) = stuck.last() else { return Ok(started) };
        after = last.id;
        let jobs: Vec<NewJob> = (u32::try_from(started).unwrap_or(u32::MAX)..)
            .zip(&stuck)
            .map(|(place, lecture)| {
                pipeline::restart_job(lecture, settings).delay(interval.saturating_mul(place))
            })
            .collect();
        started += jobs.len() as u64;
        enqueue_many(&mut tx, &jobs).await?;
        tx.commit().await?;
    }
}
