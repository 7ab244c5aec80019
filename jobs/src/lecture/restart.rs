//! Starting a lecture again, at the latest stage whose input still exists.

use bedel_queue::{Enqueued, NewJob, enqueue};
use sqlx::PgConnection;

use super::{Lecture, LectureStatus, stage_job};
use crate::environment::Settings;
use crate::probe::Probe;
use crate::submit::Submit;
use crate::transcribe::Transcribe;

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
    enqueue(tx, &latest_stage(lecture, settings)).await
}

fn latest_stage(lecture: &Lecture, settings: &Settings) -> NewJob {
    let lecture_id = lecture.id;
    match (&lecture.audio_storage_key, lecture.duration_seconds) {
        (Some(_), Some(_)) => stage_job(&Transcribe { lecture_id }, lecture_id, settings),
        (Some(_), None) => stage_job(&Probe { lecture_id, announced_seconds: None }, lecture_id, settings),
        (None, _) => stage_job(&Submit { lecture_id }, lecture_id, settings),
    }
}
