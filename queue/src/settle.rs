//! What follows when an attempt has run: commit, fail, release. Each a short fenced transaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

use crate::breaker::{self, Blame, Breaker};
use crate::claim::Claimed;
use crate::enqueue::enqueue_many;
use crate::error::{Decision, JobError, Verdict};
use crate::fence::{self, Completed, Failed, Fate};
use crate::job::{End, Failure, Job};
use crate::together::Together;
use crate::{Attempt, Queue};

/// Longest class and message kept, in characters.
const CLASS_LIMIT: usize = 60;
const MESSAGE_LIMIT: usize = 2000;

/// Pause after an attempt that ended because the database was away.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// Longest pause a row can be given: errors may name any.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the fate of a cancelled attempt's last transaction is asked for.
const FATE: Duration = Duration::from_secs(2);

/// What all attempts of one worker process share.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) queue: Queue,
    /// The ends of plain attempts.
    pub(crate) together: Together,
    /// Begins a transaction that the server ends by itself where we fall silent in it: a process that was stopped there
    /// would keep its job's row locked, and nobody could rescue what is locked.
    begin: String,
}

impl Process {
    pub(crate) fn new(queue: Queue, dead_after: Duration) -> Self {
        let begin = format!(
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = {} -- settle::begin",
            (dead_after / 2).as_millis()
        );
        Self { queue, together: Together::default(), begin }
    }
}

/// One attempt from its begin to its end.
pub(crate) struct Settlement<J: Job> {
    pub(crate) process: Arc<Process>,
    pub(crate) ctx: J::Context,
    pub(crate) attempt: Attempt,
    pub(crate) claimed: Arc<Claimed>,
}

impl<J: Job> Clone for Settlement<J> {
    fn clone(&self) -> Self {
        Self {
            process: Arc::clone(&self.process),
            ctx: self.ctx.clone(),
            attempt: self.attempt.clone(),
            claimed: Arc::clone(&self.claimed),
        }
    }
}

/// One short transaction.
enum Step<'a, J: Job> {
    Begin(&'a J),
    Commit(&'a J, &'a J::Output),
    Fail(Failing),
}

/// An attempt that fails or waits.
struct Failing {
    failed: Failed,
    verdict: Verdict,
    /// The end it comes to where the breaker of the group it blames is open. None where that changes nothing.
    spared: Option<Failed>,
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
    /// The group is there again, and jobs have waited for it.
    Freed,
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
            self.queue().wake();
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
        let failed = self.failed(error);
        let spared = spared(error, &failed);
        let failing = Failing { failed, verdict: error.verdict, spared, with_hooks };
        match self.decide(&Step::Fail(failing)).await? {
            Done::Plain => return Ok(()),
            Done::Freed => {}
            Done::Enqueued | Done::Unknown => tracing::warn!("job discarded"),
        }
        self.queue().wake();
        Ok(())
    }

    fn queue(&self) -> &Queue {
        &self.process.queue
    }

    /// The job's group and the breaker that its kind has for it.
    fn breaker(&self) -> Option<(&str, Breaker)> {
        let group = self.claimed.group_key.as_deref()?;
        Some((group, J::policy().breaker?))
    }

    /// Whether the attempt's end goes into one statement with those of others: it has nothing else to tell.
    pub(crate) fn ends_with_others(&self) -> bool {
        J::PLAIN && self.breaker().is_none()
    }

    /// What follows from the error as far as the attempt can tell.
    pub(crate) fn failed(&self, error: &JobError) -> Failed {
        let spent =
            i32::from(!matches!(error.decision, Decision::Wait(_) | Decision::Database | Decision::Busy));
        let errors = self.claimed.errors + spent;
        let delay = match error.decision {
            Decision::Wait(delay) | Decision::Retry(Some(delay)) => delay,
            Decision::Database | Decision::Busy => DATABASE_PAUSE,
            _ => J::policy().backoff.delay(errors, rand::random()),
        };
        let class = if error.class.is_empty() { "error" } else { &error.class };
        let (class, message) = (crop(class, CLASS_LIMIT), crop(&error.message, MESSAGE_LIMIT));
        tracing::info!(class, message, ?delay, "attempt did not succeed");
        Failed {
            job_id: self.attempt.job_id,
            lease: self.attempt.lease,
            class,
            message,
            spent,
            delay: delay.min(LONGEST_PAUSE),
            last: error.is_fatal() || (spent > 0 && errors >= self.claimed.max_attempts),
        }
    }

    /// Gives the job back untouched. Best effort: without a database the row is rescued later.
    pub(crate) async fn release(&self) {
        match fence::release(self.queue().pool(), self.attempt.job_id, self.attempt.lease).await {
            Ok(()) => {
                tracing::info!("attempt released");
                self.queue().wake();
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
                let fate = fence::fate(self.queue().pool(), self.attempt.job_id, self.attempt.lease);
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
            match fence::fate(self.queue().pool(), self.attempt.job_id, self.attempt.lease).await? {
                Fate::Settled => return Ok(Done::Unknown),
                Fate::Lost => return Err(JobError::lost_lease()),
                Fate::Undecided => {}
            }
        }
        let mut connection = self.queue().pool().acquire().await?;
        let mut tx = connection.begin_with(AssertSqlSafe(self.process.begin.as_str()).into_sql_str()).await?;
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
                    Some(reason) => fence::cancel(tx, id, lease, reason).await?,
                    None => {
                        let completed = Completed { job_id: id, lease, result: commit.result.clone() };
                        fence::one_row(fence::complete(tx, &[completed]).await?)?;
                    }
                }
                enqueue_many(tx, &commit.next).await?;
                // The group's row comes last: all attempts of the group want it.
                let freed = match self.breaker() {
                    Some((group, _)) => breaker::clear(tx, group).await?,
                    None => false,
                };
                Ok(match (commit.next.is_empty(), freed) {
                    (false, _) => Done::Enqueued,
                    (true, true) => Done::Freed,
                    (true, false) => Done::Plain,
                })
            }
            Step::Fail(failing) => self.write_failure(failing, tx).await,
        }
    }

    async fn write_failure(&self, failing: &Failing, tx: &mut PgConnection) -> Result<Done, JobError> {
        let subject = self.attempt.subject;
        let with_hooks = failing.with_hooks;
        let failed = match (self.breaker(), &failing.spared) {
            (Some((group, _)), Some(spared)) if breaker::is_open(tx, group).await? => spared,
            _ => &failing.failed,
        };
        let (class, message) = (failed.class.clone(), failed.message.clone());
        let ends = failed.last || fence::is_over(tx, failed.job_id, failed.lease).await?;
        let mut follow_ups = Vec::new();
        // The hooks lock the caller's row, so they go first.
        if with_hooks && ends {
            follow_ups = J::ended(&self.ctx, &End { subject, cancelled: false, class, message }, tx).await?;
        } else if with_hooks {
            J::attempt_failed(&self.ctx, &Failure { subject, class, message }, tx).await?;
        }
        fence::one_row(fence::fail(tx, std::slice::from_ref(failed)).await?.len() as u64)?;
        enqueue_many(tx, &follow_ups).await?;
        let freed = self.tell_group(failing, tx).await?;
        Ok(match (ends, freed) {
            (true, _) => Done::Enqueued,
            (false, true) => Done::Freed,
            (false, false) => Done::Plain,
        })
    }

    /// What the attempt learnt about its group. The group's row comes last: all attempts of the group want it. True where
    /// the group is there again, and jobs have waited for it.
    async fn tell_group(&self, failing: &Failing, tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let Some((group, breaker)) = self.breaker() else { return Ok(false) };
        match failing.verdict {
            Verdict::Unknown => Ok(false),
            Verdict::Up => breaker::clear(tx, group).await,
            Verdict::Down => {
                let Failed { class, message, .. } = &failing.failed;
                let claimed_at = self.claimed.attempted_at;
                breaker::blame(tx, &Blame { group, class, message, claimed_at }, &breaker).await?;
                Ok(false)
            }
        }
    }
}

/// How the attempt ends where the breaker of the group it blames is open: it spends nothing and tells of no new pause, since
/// its job waits for the group. A delay that the other side named is kept.
fn spared(error: &JobError, failed: &Failed) -> Option<Failed> {
    if error.verdict != Verdict::Down || error.is_fatal() {
        return None;
    }
    let delay = match error.decision {
        Decision::Wait(_) | Decision::Retry(Some(_)) => failed.delay,
        _ => Duration::ZERO,
    };
    Some(Failed { spent: 0, last: false, delay, ..failed.clone() })
}

/// At most `limit` characters, cut between two of them; NUL, which PostgreSQL refuses, becomes a blank.
fn crop(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c == '\0' { ' ' } else { c }).collect()
}
