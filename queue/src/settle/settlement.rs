//! One attempt's short fenced transactions: begin, commit, fail, release.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};
use tokio::time::timeout;

use super::group_breaker::{self, GroupFailure};
use super::worker_shared::WorkerShared;
use crate::claim::claimed::Claimed;
use crate::database_retry::retry_while_away;
use crate::enqueue::insert::enqueue_many;
use crate::enqueue::queue::Queue;
use crate::error::{Decision, GroupHealth, JobError};
use crate::fence::{self, CommitOutcome, Completed, Failed};
use crate::job::attempt::Attempt;
use crate::job::discard::{DiscardHook, Discarded};
use crate::job::end::{End, Failure};
use crate::job::new_job::NewJob;
use crate::job::{Job, is_plain};
use crate::policy::backoff::MAX_PAUSE;
use crate::policy::breaker::Breaker;

/// Longest stored class and message, in characters.
const MAX_CLASS_CHARS: usize = 60;
const MAX_MESSAGE_CHARS: usize = 2000;

/// Pause after an attempt that ended because the database was away.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// Longest read of a cancelled attempt's commit outcome.
const COMMIT_OUTCOME_TIMEOUT: Duration = Duration::from_secs(2);

/// One attempt, from its begin to its end.
pub(crate) struct Settlement<J: Job> {
    pub(crate) shared: Arc<WorkerShared>,
    pub(crate) ctx: J::Context,
    pub(crate) discard_hook: Option<DiscardHook<J::Context>>,
    pub(crate) attempt: Attempt,
    pub(crate) claimed: Arc<Claimed>,
}

impl<J: Job> Clone for Settlement<J> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            ctx: self.ctx.clone(),
            discard_hook: self.discard_hook,
            attempt: self.attempt.clone(),
            claimed: Arc::clone(&self.claimed),
        }
    }
}

/// One short transaction.
enum Step<'a, J: Job> {
    Begin(&'a J),
    Commit(&'a J, &'a J::Output),
    Fail(FailStep),
}

/// An attempt that fails or waits.
struct FailStep {
    failed: Failed,
    group_health: GroupHealth,
    /// Replaces `failed` while the breaker of the blamed group is open. None if the breaker changes nothing.
    if_group_open: Option<Failed>,
    /// False if the kind's hooks themselves fail.
    with_hooks: bool,
}

/// Up to this many successors wake workers of their kinds; more wake all workers.
const FEW: usize = 8;

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StepResult {
    /// The job runs again, or ended without a successor.
    NoFollowUp,
    /// A few jobs of these kinds were enqueued.
    EnqueuedFew(Vec<&'static str>),
    /// Jobs were enqueued, or the job was discarded.
    Enqueued,
    /// The group's breaker closed, and jobs were waiting for it.
    GroupReopened,
    /// An earlier try was committed, though its answer was lost.
    AlreadyCommitted,
}

impl<J: Job> Settlement<J> {
    /// The first visible state.
    pub(crate) async fn begin(&self, job: &J) -> Result<(), JobError> {
        self.run_step(&Step::Begin(job)).await.map(|_| ())
    }

    /// The caller's rows, the job's completion and the next jobs, together.
    pub(crate) async fn commit(&self, job: &J, output: &J::Output) -> Result<(), JobError> {
        match self.run_step(&Step::Commit(job, output)).await? {
            StepResult::NoFollowUp => {}
            StepResult::EnqueuedFew(kinds) => kinds.into_iter().for_each(|kind| self.queue().wake_for(kind)),
            _ => self.queue().wake(),
        }
        Ok(())
    }

    /// Retry, wait or give up, as the error says and the budgets allow.
    pub(crate) async fn fail(&self, error: &JobError) -> Result<(), JobError> {
        self.end_attempt(error, true).await
    }

    /// As `fail`, but without hooks, for hooks that fail themselves. That is a bug in the kind; it must not
    /// cost the job's budgets or the worker.
    pub(crate) async fn fail_without_hooks(&self, error: &JobError) -> Result<(), JobError> {
        self.end_attempt(error, false).await
    }

    async fn end_attempt(&self, error: &JobError, with_hooks: bool) -> Result<(), JobError> {
        let failed = self.failed(error);
        let if_group_open = if_group_open(error, &failed);
        let step = FailStep { failed, group_health: error.group_health, if_group_open, with_hooks };
        match self.run_step(&Step::Fail(step)).await? {
            StepResult::NoFollowUp => return Ok(()),
            StepResult::GroupReopened => {}
            StepResult::Enqueued | StepResult::EnqueuedFew(_) | StepResult::AlreadyCommitted => {
                tracing::warn!("job discarded");
            }
        }
        self.queue().wake();
        Ok(())
    }

    /// Leaves a row in the history where the attempt's end could not be written.
    pub(crate) async fn note_unwritten(&self, error: &JobError) {
        let Attempt { job_id, number, .. } = self.attempt;
        let worker = &self.shared.worker;
        if let Err(error) = fence::note_unwritten(&self.shared.attempts, job_id, number, worker, error).await
        {
            tracing::warn!(%error, "the history has no row of this attempt");
        }
    }

    fn queue(&self) -> &Queue {
        &self.shared.queue
    }

    /// The job's group, and the breaker of its kind.
    fn breaker(&self) -> Option<(&str, Breaker)> {
        let group = self.claimed.group_key.as_deref()?;
        Some((group, J::policy().breaker?))
    }

    /// True if the attempt's end may be batched with others: it writes nothing else.
    pub(crate) fn is_batched(&self) -> bool {
        is_plain::<J>() && self.breaker().is_none()
    }

    /// What follows the error, before the database is asked.
    pub(crate) fn failed(&self, error: &JobError) -> Failed {
        let spent = i32::from(!matches!(error.decision, Decision::Wait(_) | Decision::Database));
        let errors = self.claimed.errors.saturating_add(spent);
        let delay = match error.decision {
            Decision::Wait(delay) | Decision::Retry(Some(delay)) => delay,
            Decision::Database => DATABASE_PAUSE,
            _ => J::policy().backoff.delay(errors, rand::random()),
        };
        let class = if error.class.is_empty() { "error" } else { &error.class };
        let (class, message) = (crop(class, MAX_CLASS_CHARS), crop(&error.message, MAX_MESSAGE_CHARS));
        tracing::info!(class, message, ?delay, "attempt failed or waits");
        Failed {
            job_id: self.attempt.job_id,
            lease: self.attempt.lease,
            class,
            message,
            spent,
            delay: delay.min(MAX_PAUSE),
            last: error.is_fatal() || (spent > 0 && errors >= self.claimed.max_attempts),
        }
    }

    /// Returns the job untouched. False if that was not written: then the heartbeat does it, or a rescuer.
    pub(crate) async fn release(&self) -> bool {
        match fence::release(&self.shared.attempts, self.attempt.job_id, self.attempt.lease).await {
            Ok(()) => {
                tracing::info!("attempt released");
                self.queue().wake();
            }
            Err(error) if error.is_lost_lease() => tracing::info!("lease lost; nothing to release"),
            Err(error) => {
                tracing::warn!(%error, "attempt not released; the heartbeat will do it");
                return false;
            }
        }
        true
    }

    /// Runs one short transaction until its outcome is known.
    async fn run_step(&self, step: &Step<'_, J>) -> Result<StepResult, JobError> {
        let tried = AtomicBool::new(false);
        let patience = self.shared.step_timeout * 4;
        let outcome = retry_while_away(&self.attempt.cancellation, patience, || async {
            // A hook's panic fails this attempt only; the kind's other attempts continue.
            match AssertUnwindSafe(self.try_step(step, &tried)).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(_) => Err(JobError::retry("panic", "a hook of this kind of job panicked")),
            }
        })
        .await;
        match outcome {
            // Cancelled while it waited for an answer, perhaps because the step had been committed.
            Err(error) if error.is_lost_lease() && tried.load(Ordering::Relaxed) => {
                let outcome =
                    fence::commit_outcome(&self.shared.attempts, self.attempt.job_id, self.attempt.lease);
                match timeout(COMMIT_OUTCOME_TIMEOUT, outcome).await {
                    Ok(Ok(CommitOutcome::Committed)) => Ok(StepResult::AlreadyCommitted),
                    _ => Err(error),
                }
            }
            outcome => outcome,
        }
    }

    async fn try_step(&self, step: &Step<'_, J>, tried: &AtomicBool) -> Result<StepResult, JobError> {
        if tried.swap(true, Ordering::Relaxed) {
            match fence::commit_outcome(&self.shared.attempts, self.attempt.job_id, self.attempt.lease)
                .await?
            {
                CommitOutcome::Committed => return Ok(StepResult::AlreadyCommitted),
                CommitOutcome::LeaseLost => return Err(JobError::lost_lease()),
                CommitOutcome::NotCommitted => {}
            }
        }
        let mut connection = self.queue().pool().acquire().await?;
        let transaction = async {
            let begin = AssertSqlSafe(self.shared.begin.as_str()).into_sql_str();
            let mut tx = connection.begin_with(begin).await?;
            let done = self.write(step, &mut tx).await?;
            tx.commit().await?;
            Ok(done)
        };
        let limit = self.shared.step_timeout;
        timeout(limit, transaction).await.unwrap_or_else(|_| {
            // Its peer may have vanished, and it may be inside a transaction.
            connection.close_on_drop();
            let message = format!(
                "a transaction of this job, with its hook, took longer than {} s",
                limit.as_secs_f64()
            );
            Err(JobError::busy("step-timeout", message))
        })
    }

    async fn write(&self, step: &Step<'_, J>, tx: &mut PgConnection) -> Result<StepResult, JobError> {
        let (id, lease) = (self.attempt.job_id, self.attempt.lease);
        match step {
            Step::Begin(job) => {
                job.begin(&self.ctx, &self.attempt, tx).await?;
                fence::hold(tx, id, lease).await?;
                Ok(StepResult::NoFollowUp)
            }
            Step::Commit(job, output) => {
                let commit = job.commit(&self.ctx, &self.attempt, output, tx).await?;
                match &commit.cancelled {
                    Some(reason) => fence::cancel(tx, id, lease, reason).await?,
                    None => {
                        let completed = Completed { job_id: id, lease, result: commit.result.clone() };
                        fence::one_row(fence::complete(tx, &[completed]).await?)?;
                    }
                }
                enqueue_many(tx, &commit.next).await?;
                // The group's row is locked last: all attempts of the group write it.
                let reopened = match self.breaker() {
                    Some((group, _)) => group_breaker::clear(tx, group).await?,
                    None => false,
                };
                Ok(match (commit.next.len(), reopened) {
                    (0, true) => StepResult::GroupReopened,
                    (0, false) => StepResult::NoFollowUp,
                    (1..=FEW, false) => {
                        StepResult::EnqueuedFew(commit.next.iter().map(|job| job.kind).collect())
                    }
                    _ => StepResult::Enqueued,
                })
            }
            Step::Fail(step) => self.write_failure(step, tx).await,
        }
    }

    async fn write_failure(&self, step: &FailStep, tx: &mut PgConnection) -> Result<StepResult, JobError> {
        let subject = self.attempt.subject;
        let with_hooks = step.with_hooks;
        let failed = match (self.breaker(), &step.if_group_open) {
            (Some((group, _)), Some(failed)) if group_breaker::is_open(tx, group).await? => failed,
            _ => &step.failed,
        };
        let (class, message) = (failed.class.clone(), failed.message.clone());
        let ends = failed.last || fence::is_time_up(tx, failed.job_id, failed.lease).await?;
        let mut follow_ups = Vec::new();
        // Hooks lock the caller's row, so they run before the queue locks the job.
        if with_hooks && ends {
            let discarded = Discarded { job_id: self.attempt.job_id, kind: J::KIND, subject, class, message };
            follow_ups = self.run_end_hooks(&discarded, tx).await?;
        } else if with_hooks {
            J::attempt_failed(&self.ctx, &Failure { subject, class, message }, tx).await?;
        }
        fence::one_row(fence::fail(tx, std::slice::from_ref(failed)).await?.len() as u64)?;
        enqueue_many(tx, &follow_ups).await?;
        let reopened = self.update_breaker(step, tx).await?;
        Ok(match (ends, reopened) {
            (true, _) => StepResult::Enqueued,
            (false, true) => StepResult::GroupReopened,
            (false, false) => StepResult::NoFollowUp,
        })
    }

    /// The kind's `ended`, then the registry's hook.
    async fn run_end_hooks(
        &self,
        discarded: &Discarded,
        tx: &mut PgConnection,
    ) -> Result<Vec<NewJob>, JobError> {
        let Discarded { subject, class, message, .. } = discarded.clone();
        let end = End { subject, cancelled: false, class, message };
        let mut follow_ups = J::ended(&self.ctx, &end, tx).await?;
        if let Some(hook) = self.discard_hook {
            follow_ups.extend(hook(&self.ctx, discarded, tx).await?);
        }
        Ok(follow_ups)
    }

    /// Writes the group's health to its breaker. The group's row is locked last: all attempts of the group
    /// write it. True if the breaker closed and jobs were waiting for it.
    async fn update_breaker(&self, step: &FailStep, tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let Some((group, breaker)) = self.breaker() else { return Ok(false) };
        match step.group_health {
            GroupHealth::Unknown => Ok(false),
            GroupHealth::Up => group_breaker::clear(tx, group).await,
            GroupHealth::Down => {
                let Failed { class, message, .. } = &step.failed;
                let failure = GroupFailure { group, class, message, claimed_at: self.claimed.attempted_at };
                group_breaker::record_failure(tx, &failure, &breaker).await?;
                Ok(false)
            }
        }
    }
}

/// How the attempt ends if the blamed group's breaker is open: it spends nothing and adds no pause, since its
/// job waits for the group. A delay that the upstream named is kept.
fn if_group_open(error: &JobError, failed: &Failed) -> Option<Failed> {
    if error.group_health != GroupHealth::Down || error.is_fatal() {
        return None;
    }
    let delay = match error.decision {
        Decision::Wait(_) | Decision::Retry(Some(_)) => failed.delay,
        _ => Duration::ZERO,
    };
    Some(Failed { spent: 0, last: false, delay, ..failed.clone() })
}

/// At most `limit` characters. PostgreSQL refuses NUL, so it becomes a space.
fn crop(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c == '\0' { ' ' } else { c }).collect()
}
