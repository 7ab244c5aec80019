//! Retries a lecture by hand.

use bedel_queue::inspect::{self, JobState};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{LectureStatus, last_job, restart, view};
use crate::environment::Settings;

/// Outcome of [`retry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// No such lecture, or the user is not linked to it.
    NotFound,
    /// This job is due now: a new one, or the one that waited. Wake the workers after the commit.
    Due(Uuid),
    /// An attempt is running; nothing changed.
    Running,
    /// The lecture is completed, and its newest job too.
    Completed,
}

/// Makes a waiting job due, or restarts a lecture without a live job at the latest stage whose input still
/// exists. A completed lecture is transcribed again only if its newest job, another transcription, failed.
/// `user_id` limits it to that user's lectures; `None` is for admins.
pub async fn retry(
    tx: &mut PgConnection,
    settings: &Settings,
    user_id: Option<Uuid>,
    lecture_id: Uuid,
) -> Result<Retried, sqlx::Error> {
    let Some(lecture) = view::lock_linked(tx, user_id, lecture_id).await? else {
        return Ok(Retried::NotFound);
    };
    match inspect::live_job(tx, lecture_id).await? {
        Some(job) if job.state == JobState::Running => Ok(Retried::Running),
        Some(job) => {
            // False if the job is already due or was just claimed, which is as good.
            bedel_queue::pull_forward(tx, lecture_id).await?;
            Ok(Retried::Due(job.id))
        }
        None if lecture.status == LectureStatus::Completed => {
            let last = last_job::read(tx, lecture_id).await?;
            if !last.is_some_and(|job| job.has_failed()) {
                return Ok(Retried::Completed);
            }
            let enqueued = restart::repeat(tx, user_id, &lecture, settings).await?;
            Ok(Retried::Due(enqueued.id))
        }
        None => {
            let enqueued = restart::restart_for(tx, user_id, &lecture, settings).await?;
            Ok(Retried::Due(enqueued.id))
        }
    }
}
