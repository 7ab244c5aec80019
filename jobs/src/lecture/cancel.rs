//! Cancels a lecture's job by hand.

use bedel_queue::{Registry, inspect};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{LectureStatus, view};
use crate::environment::Context;

/// The cancelled lecture's `error_message`.
const CANCELLED: &str = "This lecture was cancelled. Use retry to start it again.";

/// Outcome of [`cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// No such lecture, or the user is not linked to it.
    NotFound,
    /// This job was cancelled and the lecture failed, unless it was being transcribed again. Wake the workers and announce the cancellation after
    /// the commit.
    Cancelled(Uuid),
    /// Refused: other users are linked to it too.
    Shared,
    /// The lecture is completed and has no live job.
    Completed,
    /// It has no live job.
    Idle,
}

/// Cancels a lecture's live job. `user_id` limits it to lectures that only this user is linked to; `None` is
/// for admins.
pub async fn cancel(
    tx: &mut PgConnection,
    registry: &Registry<Context>,
    user_id: Option<Uuid>,
    lecture_id: Uuid,
) -> Result<Cancelled, sqlx::Error> {
    let Some(lecture) = view::lock_linked(tx, user_id, lecture_id).await? else {
        return Ok(Cancelled::NotFound);
    };
    if let Some(user_id) = user_id
        && view::is_shared(tx, user_id, lecture_id).await?
    {
        return Ok(Cancelled::Shared);
    }
    let Some(job) = inspect::live_job(tx, lecture_id).await? else {
        let is_completed = lecture.status == LectureStatus::Completed;
        return Ok(if is_completed { Cancelled::Completed } else { Cancelled::Idle });
    };
    let cancelled = registry.cancel(tx, job.id, CANCELLED).await?;
    Ok(cancelled.map_or(Cancelled::Idle, Cancelled::Cancelled))
}
