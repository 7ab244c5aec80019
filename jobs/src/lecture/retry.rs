//! Trying a lecture again by hand.

use bedel_queue::inspect::{self, JobState};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{LectureStatus, lock, restart, view};
use crate::environment::Settings;

/// What asking for another try did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// No such lecture, or not this user's.
    NotFound,
    /// This job will work for the lecture: a new one, or the waiting one, which is due now. Wake the workers after the
    /// commit.
    Due(Uuid),
    /// An attempt is at work: another one would not help.
    Running,
    /// There is nothing left to do.
    Completed,
}

/// Starts a failed lecture again, or one that no job works for, at the latest stage whose input still exists; makes a
/// waiting job due. `user_id` limits it to that user's lectures; `None` is for admins.
///
/// # Errors
/// The database's.
pub async fn retry(
    tx: &mut PgConnection,
    settings: &Settings,
    user_id: Option<Uuid>,
    lecture_id: Uuid,
) -> Result<Retried, sqlx::Error> {
    let Some(lecture) = lock(tx, lecture_id).await? else { return Ok(Retried::NotFound) };
    if let Some(user_id) = user_id
        && !view::is_linked(tx, user_id, lecture_id).await?
    {
        return Ok(Retried::NotFound);
    }
    if lecture.status == LectureStatus::Completed {
        return Ok(Retried::Completed);
    }
    match inspect::live_job(tx, lecture_id).await? {
        Some(job) if job.state == JobState::Running => Ok(Retried::Running),
        Some(job) => {
            // False where it is due already or was claimed just now: either way it is what was asked for.
            bedel_queue::pull_forward(tx, lecture_id).await?;
            Ok(Retried::Due(job.id))
        }
        None => {
            let enqueued = match user_id {
                Some(user_id) => restart::restart_for(tx, user_id, &lecture, settings).await?,
                None => restart::restart(tx, &lecture, settings).await?,
            };
            Ok(Retried::Due(enqueued.id))
        }
    }
}
