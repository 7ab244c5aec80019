//! What operators do to jobs, queues and schedules, for the API and the pages. Each is one transaction with its record in
//! the audit log. None: there is no such job, queue or schedule.

use bedel_jobs::audit::Actor;
use bedel_jobs::operations::{self, JobCancelled, JobRetried};
use bedel_jobs::registry::{known_queues, new_job};
use bedel_queue::{Enqueued, QueueView};
use serde_json::json;
use uuid::Uuid;

use super::problem::Problem;
use super::state::ApiState;

/// Makes a job due. Returns the job that is due: a lecture's stage may resume as another one.
pub(crate) async fn retry_job(state: &ApiState, id: Uuid, by: Actor) -> Result<Option<Uuid>, Problem> {
    let mut tx = state.begin().await?;
    let due = match operations::retry_job(&mut tx, &state.environment.settings, id, by).await? {
        JobRetried::Due(due) => due,
        JobRetried::NotFound => return Ok(None),
        JobRetried::Refused | JobRetried::LectureRefused(..) => {
            return Err(Problem::conflict(
                "This job is running or completed, or another one does its work. There is nothing to retry.",
            ));
        }
    };
    tx.commit().await?;
    state.queue.wake();
    Ok(Some(due))
}

/// Cancels a job that has not ended.
pub(crate) async fn cancel_job(state: &ApiState, id: Uuid, by: Actor) -> Result<Option<()>, Problem> {
    let mut tx = state.begin().await?;
    let reason = "cancelled by an administrator";
    match operations::cancel_job(&mut tx, &state.registry, id, reason, by).await? {
        JobCancelled::Cancelled => {}
        JobCancelled::NotFound => return Ok(None),
        JobCancelled::Final => return Err(Problem::conflict("This job has ended.")),
    }
    tx.commit().await?;
    state.queue.wake();
    state.queue.announce_cancellation();
    Ok(Some(()))
}

/// Pauses or resumes a queue. None for an unknown name: pausing a misspelt one would appear to work.
pub(crate) async fn set_paused(
    state: &ApiState,
    name: &str,
    is_paused: bool,
    by: Actor,
) -> Result<Option<QueueView>, Problem> {
    let mut tx = state.begin().await?;
    if known_queues(&mut tx, &state.registry).await?.iter().all(|view| view.name != name) {
        return Ok(None);
    }
    if is_paused {
        operations::pause_queue(&mut tx, name, by).await?;
    } else {
        operations::resume_queue(&mut tx, name, by).await?;
    }
    let views = known_queues(&mut tx, &state.registry).await?;
    tx.commit().await?;
    Ok(views.into_iter().find(|view| view.name == name))
}

/// Enqueues a schedule's job now. The schedule itself does not change.
pub(crate) async fn run_schedule(
    state: &ApiState,
    name: &str,
    by: Actor,
) -> Result<Option<Enqueued>, Problem> {
    let mut tx = state.begin().await?;
    let is_known = bedel_queue::schedules(&mut tx).await?.iter().any(|schedule| schedule.name == name);
    // A schedule is named after its job kind.
    let Some(job) = new_job(&state.registry, name, json!({})).ok().filter(|_| is_known) else {
        return Ok(None);
    };
    let enqueued = operations::run_schedule(&mut tx, name, &job, by).await?;
    tx.commit().await?;
    state.queue.wake();
    Ok(Some(enqueued))
}
