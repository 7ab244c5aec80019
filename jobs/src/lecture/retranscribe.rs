//! Transcribes a lecture again.

use bedel_queue::inspect;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{LectureStatus, restart, view};
use crate::environment::Settings;
use crate::options::{self, TranscriptionOptions};

/// Outcome of [`retranscribe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retranscribed {
    /// No such lecture, or the user is not linked to it.
    NotFound,
    /// A job of this kind is live; nothing changed.
    Busy(String),
    /// Refused: other users read this transcript too.
    Shared,
    /// This job was enqueued. Wake the workers after the commit.
    Enqueued {
        /// The job.
        job_id: Uuid,
        /// The lecture's status: a completed one stays completed.
        status: LectureStatus,
    },
}

/// Sets these options and starts the lecture at the latest stage whose input still exists, usually
/// `transcribe`. A completed lecture keeps its status and transcript until the new one is stored. `user_id`
/// limits it to that user's lectures, and to completed ones that no other user is linked to; `None` is for admins.
pub async fn retranscribe(
    tx: &mut PgConnection,
    settings: &Settings,
    user_id: Option<Uuid>,
    lecture_id: Uuid,
    options: TranscriptionOptions,
) -> Result<Retranscribed, sqlx::Error> {
    let Some(lecture) = view::lock_linked(tx, user_id, lecture_id).await? else {
        return Ok(Retranscribed::NotFound);
    };
    if let Some(user_id) = user_id
        && lecture.status == LectureStatus::Completed
        && view::is_shared(tx, user_id, lecture_id).await?
    {
        return Ok(Retranscribed::Shared);
    }
    if let Some(job) = inspect::live_job(tx, lecture_id).await? {
        return Ok(Retranscribed::Busy(job.kind));
    }
    let (enqueued, status) = match lecture.status {
        LectureStatus::Completed => {
            (restart::repeat(tx, user_id, &lecture, settings).await?, LectureStatus::Completed)
        }
        _ => (restart::restart_for(tx, user_id, &lecture, settings).await?, LectureStatus::Pending),
    };
    options::lecture::change(tx, lecture_id, options).await?;
    Ok(Retranscribed::Enqueued { job_id: enqueued.id, status })
}
