//! What follows when an attempt has run: commit, fail, release. Each a short fenced transaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use sqlx::{Acquire, PgConnection};

use crate::claim::Claimed;
use crate::enqueue::enqueue;
use crate::error::{Decision, JobError};
use crate::fence::{self, Fate};
use crate::job::{End, Failure, Job};
use crate::{Attempt, Queue};

/// Longest class and message kept, in characters.
const CLASS_LIMIT: usize = 60;
const MESSAGE_LIMIT: usize = 2000;

/// Pause after an attempt that ended because the database was away.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// Longest pause a row can be given: errors may name any.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the fate of a cancelled attempt's last transaction is asked for.
const FATE: Duration = Duration::from_secs(2);

/// One attempt from its begin to its end.
pub(crate) struct Settlement<J: Job> {
    pub(crate) queue: Queue,
    pub(crate) ctx: J::Context,
    pub(crate) attempt: Attempt,
    pub(crate) claimed: Arc<Claimed>,
    pub(crate) worker: Arc<str>,
}

impl<J: Job> Clone for Settlement<J> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            ctx: self.ctx.clone(),
            attempt: self.attempt.clone(),
            claimed: Arc::clone(&self.claimed),
            worker: Arc::clone(&self.worker),
        }
    }
}

/// One short transaction.
enum Step<'a, J: Job> {
    Begin(&'a J),
    Commit(&'a J, &'a J::Output),
    Fail(Failing),
}

/// A failing attempt, before the database says whether the job's time is over.
struct Failing {
    class: String,
    message: String,
    /// 1 where it spends one of `max_attempts`.
    spent: i32,
    delay: Duration,
    /// True where trying again cannot help or the budget is spent.
    last: bool,
    /// False where the kind's hooks are themselves what fails.
    with_hooks: bool,
}

/// What a step did, or `Unknown` where an earlier try, whose COMMIT was not answered, turned out to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// The job goes on or nothing follows it.
    Plain,
    /// Jobs were enqueued, or the job was discarded.
    Enqueued,
    Unknown,
}

impl<J: Job> Settlement<J> {
    /// The first visible state.
    pub(crate) async fn begin(&self, job: &J) -> Result<(), JobError> {
        self.decide(&Step::Begin(job)).await.map(|_| ())
    }

    /// The caller's rows, this job's completion and the next jobs, together.
    pub(crate) async fn commit(&self, job: &J, output: &J::Output) -> Result<(), JobError> {
        if self.decide(&Step::Commit(job, output)).await? != Done::Plain {
            self.queue.wake();
        }
        Ok(())
    }

    /// Retry, wait or give up, as the error says and the budgets allow.
    pub(crate) async fn fail(&self, error: &JobError) -> Result<(), JobError> {
        self.end_attempt(error, true).await
    }

    /// As `fail`, for an attempt whose hooks fail themselves: they are a bug to be mended, and neither the job's budgets nor
    /// the worker may be lost over it.
    pub(crate) async fn fail_without_hooks(&self, error: &JobError) -> Result<(), JobError> {
        self.end_attempt(error, false).await
    }

    async fn end_attempt(&self, error: &JobError, with_hooks: bool) -> Result<(), JobError> {
        let spent = i32::from(!matches!(error.decision, Decision::Wait(_) | Decision::Database));
        let errors = self.claimed.errors + spent;
        let delay = match error.decision {
            Decision::Wait(delay) | Decision::Retry(Some(delay)) => delay,
            Decision::Database => DATABASE_PAUSE,
            _ => J::policy().backoff.delay(errors, rand::random()),
        };
        let (class, message) = (crop(&error.class, CLASS_LIMIT), crop(&error.message, MESSAGE_LIMIT));
        tracing::info!(class, message, ?delay, "attempt did not succeed");
        let last = error.is_fatal() || (spent > 0 && errors >= self.claimed.max_attempts);
        let delay = delay.min(LONGEST_PAUSE);
        let failing = Failing { class, message, spent, delay, last, with_hooks };
        let done = self.decide(&Step::Fail(failing)).await?;
        if done != Done::Plain {
            tracing::warn!("job discarded");
            self.queue.wake();
        }
        Ok(())
    }

    /// Gives the job back untouched. Best effort: without a database the row is rescued later.
    pub(crate) async fn release(&self) {
        match fence::release(self.queue.pool(), self.attempt.job_id, self.attempt.lease).await {
            Ok(()) => {
                tracing::info!("attempt released");
                self.queue.wake();
            }
            Err(error) if error.is_about_the_lease() => tracing::info!("lease gone; nothing to release"),
            Err(error) => tracing::warn!(%error, "attempt not released; it will be rescued"),
        }
    }

    /// Runs one short transaction until its outcome is known.
    async fn decide(&self, step: &Step<'_, J>) -> Result<Done, JobError> {
        let tried = AtomicBool::new(false);
        let outcome = fence::patiently(&self.attempt.cancellation, || async {
            // A hook's panic is an error of this attempt; it must not take the kind's other attempts with it.
            match AssertUnwindSafe(self.decide_once(step, &tried)).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(_) => Err(JobError::retry("panic", "a hook of this kind of job panicked")),
            }
        })
        .await;
        match outcome {
            // Cancelled while an answer was awaited: perhaps because it had been committed.
            Err(error) if error.is_about_the_lease() && tried.load(Ordering::Relaxed) => {
                let fate = fence::fate(self.queue.pool(), self.attempt.job_id, self.attempt.lease);
                match tokio::time::timeout(FATE, fate).await {
                    Ok(Ok(Fate::Settled)) => Ok(Done::Unknown),
                    _ => Err(error),
                }
            }
            outcome => outcome,
        }
    }

    async fn decide_once(&self, step: &Step<'_, J>, tried: &AtomicBool) -> Result<Done, JobError> {
        if tried.swap(true, Ordering::Relaxed) {
            match fence::fate(self.queue.pool(), self.attempt.job_id, self.attempt.lease).await? {
                Fate::Settled => return Ok(Done::Unknown),
                Fate::Lost => return Err(JobError::lost_lease()),
                Fate::Undecided => {}
            }
        }
        let mut connection = self.queue.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        let done = self.write(step, &mut tx).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn write(&self, step: &Step<'_, J>, tx: &mut PgConnection) -> Result<Done, JobError> {
        let (id, lease) = (self.attempt.job_id, self.attempt.lease);
        match step {
            Step::Begin(job) => {
                job.begin(&self.ctx, &self.attempt, tx).await?;
                fence::hold(tx, id, lease).await?;
                Ok(Done::Plain)
            }
            Step::Commit(job, output) => {
                let commit = job.commit(&self.ctx, &self.attempt, output, tx).await?;
                match &commit.cancelled {
                    Some(reason) => fence::end(tx, id, lease, true, 0, reason).await?,
                    None => fence::complete(tx, id, lease, commit.result.as_ref()).await?,
                }
                for next in &commit.next {
                    enqueue(tx, next).await?;
                }
                Ok(if commit.next.is_empty() { Done::Plain } else { Done::Enqueued })
            }
            Step::Fail(failing) => self.write_failure(failing, tx).await,
        }
    }

    async fn write_failure(&self, failing: &Failing, tx: &mut PgConnection) -> Result<Done, JobError> {
        let (id, lease, subject) = (self.attempt.job_id, self.attempt.lease, self.attempt.subject);
        let Failing { class, message, spent, delay, last, with_hooks } = failing;
        let ends = *last || fence::is_over(tx, id, lease).await?;
        if ends {
            let end = End { subject, cancelled: false, class: class.clone(), message: message.clone() };
            let follow_ups = if *with_hooks { J::ended(&self.ctx, &end, tx).await? } else { Vec::new() };
            fence::end(tx, id, lease, false, *spent, message).await?;
            for job in &follow_ups {
                enqueue(tx, job).await?;
            }
        } else {
            let failure = Failure { subject, class: class.clone(), message: message.clone() };
            if *with_hooks {
                J::attempt_failed(&self.ctx, &failure, tx).await?;
            }
            fence::put_back(tx, id, lease, *spent, *delay, message).await?;
        }
        if *spent > 0 || ends {
            fence::record_failed_attempt(tx, id, self.attempt.number, &self.worker, class, message).await?;
        }
        Ok(if ends { Done::Enqueued } else { Done::Plain })
    }
}

/// At most `limit` characters, cut between two of them; NUL, which PostgreSQL refuses, becomes a blank.
fn crop(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c == '\0' { ' ' } else { c }).collect()
}
