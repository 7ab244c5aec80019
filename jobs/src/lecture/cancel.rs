//! Stopping the work for a lecture by hand.

use bedel_queue::{Registry, inspect};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{LectureStatus, lock, view};
use crate::environment::Context;

/// What the lecture says from then on.
const CANCELLED: &str = "This lecture was cancelled. Use retry to start it again.";

/// What asking to cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// No such lecture, or not this user's.
    NotFound,
    /// The work of this job ends, and the lecture has failed. Wake the workers and announce the cancellation after the
    /// commit.
    Cancelled(Uuid),
    /// Others are linked to it, whose lecture it is too.
    Shared,
    /// There is nothing left to do.
    Completed,
    /// No job works for it.
    Idle,
}

/// Ends the work for a lecture. `user_id` limits it to that user's lectures, and to those that are nobody else's; `None` is
/// for admins.
///
/// # Errors
/// The database's.
pub async fn cancel(
    tx: &mut PgConnection,
    registry: &Registry<Context>,
    user_id: Option<Uuid>,
    lecture_id: Uuid,
) -> Result<Cancelled, sqlx::Error> {
    let Some(lecture) = lock(tx, lecture_id).await? else { return Ok(Cancelled::NotFound) };
    if let Some(user_id) = user_id {
        if !view::is_linked(tx, user_id, lecture_id).await? {
            return Ok(Cancelled::NotFound);
        }
        if view::is_shared(tx, user_id, lecture_id).await? {
            return Ok(Cancelled::Shared);
        }
    }
    if lecture.status == LectureStatus::Completed {
        return Ok(Cancelled::Completed);
    }
    let Some(job) = inspect::live_job(tx, lecture_id).await? else { return Ok(Cancelled::Idle) };
    let cancelled = registry.cancel(tx, job.id, CANCELLED).await?;
    Ok(cancelled.map_or(Cancelled::Idle, Cancelled::Cancelled))
}
