//! What a kind of job is: typed args, a policy, and the four places where its code runs.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::attempt::Attempt;
use crate::breaker::Breaker;
use crate::enqueue::NewJob;
use crate::error::JobError;

/// A kind of job.
///
/// One attempt is: `begin` (short transaction), `run` (as long as it takes, no transaction open), then `commit`
/// (short transaction: the caller's rows, this job's completion and the next job become visible together). Every
/// one of the three is fenced by the attempt's lease: where the lease is gone nothing is written.
///
/// `begin`, `run` and `commit` may all be repeated, so each must lead to the same rows and files when it runs twice.
/// Lock order inside the hooks: the caller's own row first; the queue then locks the job.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name stored in the table. It outlives renames of the type.
    const KIND: &'static str;

    /// What the job may touch: pools, clients, configuration. Cloned for each attempt.
    type Context: Clone + Send + Sync + 'static;

    /// What `run` hands to `commit`.
    type Output: Send + Sync + 'static;

    /// Attempts, backoff, timeout of this kind.
    fn policy() -> Policy;

    /// Set by [`PlainJob`] alone: there are no hooks to call.
    #[doc(hidden)]
    const PLAIN: bool = false;

    /// The first visible state, written before the work starts.
    ///
    /// # Errors
    /// A `JobError` ends the attempt as `run`'s would.
    fn begin(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<(), JobError>> + Send {
        let _ = (ctx, attempt, tx);
        async { Ok(()) }
    }

    /// The work. It is dropped at the next await point when the attempt is cancelled, released or has lost its
    /// lease; blocking work must watch [`Attempt::cancellation`].
    ///
    /// # Errors
    /// A `JobError` says by itself whether to retry, to wait or to give up.
    fn run(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<Self::Output, JobError>> + Send;

    /// The caller's rows, in the transaction that completes the job.
    ///
    /// # Errors
    /// Trouble with the database is tried again by the queue for as long as the lease holds; any other `JobError`
    /// ends the attempt as `run`'s would.
    fn commit(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<Commit, JobError>> + Send;

    /// Runs in the transaction that records a failing or waiting attempt, when the job goes on. From the subject alone.
    ///
    /// # Errors
    /// Only the database's own.
    fn attempt_failed(
        ctx: &Self::Context,
        failure: &Failure,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        let _ = (ctx, failure, tx);
        async { Ok(()) }
    }

    /// Runs in the transaction that discards or cancels the job. From the subject alone, since the args may be the
    /// very thing that could not be read. Returns jobs to enqueue in the same transaction.
    ///
    /// # Errors
    /// Only the database's own.
    fn ended(
        ctx: &Self::Context,
        end: &End,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<Vec<NewJob>, sqlx::Error>> + Send {
        let _ = (ctx, end, tx);
        async { Ok(Vec::new()) }
    }
}

/// A kind of job that writes nothing of its own when it begins and ends, such as one that fetches, mails or renders.
///
/// It costs less than a [`Job`]: no begin transaction, and its ends are written together with those of other attempts, many
/// in one statement. Everything else is promised alike: the lease, the budgets, the history, the backoff.
///
/// Where the kind has a [breaker](Policy::breaker), the ends of its jobs with a group are written one by one: each tells of
/// its group in its own transaction.
pub trait PlainJob: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name stored in the table. It outlives renames of the type.
    const KIND: &'static str;

    /// What the job may touch: pools, clients, configuration. Cloned for each attempt.
    type Context: Clone + Send + Sync + 'static;

    /// Attempts, backoff, timeout of this kind.
    fn policy() -> Policy;

    /// The work. It may run more than once; see [`Job::run`].
    ///
    /// # Errors
    /// A `JobError` says by itself whether to retry, to wait or to give up.
    fn run(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<(), JobError>> + Send;
}

impl<P: PlainJob> Job for P {
    const KIND: &'static str = <P as PlainJob>::KIND;
    type Context = <P as PlainJob>::Context;
    type Output = ();
    const PLAIN: bool = true;

    fn policy() -> Policy {
        <P as PlainJob>::policy()
    }

    fn run(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<(), JobError>> + Send {
        PlainJob::run(self, ctx, attempt)
    }

    async fn commit(
        &self,
        _: &Self::Context,
        _: &Attempt,
        (): &(),
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done())
    }
}

/// How often, how long and with which pauses a kind is tried.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Lane shown to operators.
    pub queue: &'static str,
    /// Failing attempts after which the job is discarded. At least 1.
    pub max_attempts: i32,
    /// Counted crashes of the worker process after which the job is discarded. At least 1.
    pub max_crashes: i32,
    /// Delay before the next attempt.
    pub backoff: Backoff,
    /// An attempt that runs longer fails.
    pub timeout: Duration,
    /// Waiting and retrying end this long after the job was enqueued.
    pub give_up_after: Duration,
    /// A job of this kind is not claimed while so many jobs with its `group_key` run, of whatever kind, in the whole fleet. None:
    /// no limit for this kind. At least 1; jobs without a group are not limited.
    pub group_limit: Option<u32>,
    /// While the thing behind a job's `group_key` is down, jobs of this kind wait for it. None: they are tried all the same. Jobs
    /// without a group have no breaker.
    pub breaker: Option<Breaker>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            queue: "default",
            max_attempts: 5,
            max_crashes: 3,
            backoff: Backoff { first: Duration::from_secs(5), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(600),
            give_up_after: Duration::from_secs(24 * 3600),
            group_limit: None,
            breaker: None,
        }
    }
}

/// Exponential backoff: `first`, then twice as long each time, at most `max`, each spread by up to a fifth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Delay after the first failing attempt.
    pub first: Duration,
    /// Longest delay.
    pub max: Duration,
}

impl Backoff {
    /// The delay after the `errors`-th failing attempt (counted from 1). `spread` in 0..1 places it between 0.8 and
    /// 1.2 times the exact value, so that a crowd that failed together does not come back together.
    #[must_use]
    pub fn delay(&self, errors: i32, spread: f64) -> Duration {
        let doublings = errors.saturating_sub(1).clamp(0, 30);
        let exact = self.first.as_secs_f64() * f64::from(2_u32.pow(doublings.unsigned_abs()));
        Duration::from_secs_f64(exact.min(self.max.as_secs_f64()) * (0.8 + 0.4 * spread.clamp(0.0, 1.0)))
    }
}

/// How a successful attempt ends.
#[derive(Debug, Default)]
pub struct Commit {
    pub(crate) result: Option<Value>,
    pub(crate) next: Vec<NewJob>,
    pub(crate) cancelled: Option<String>,
}

impl Commit {
    /// The job is completed.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// Enqueues `job` in the same transaction, after this job has ended.
    #[must_use]
    pub fn then(mut self, job: NewJob) -> Self {
        self.next.push(job);
        self
    }

    /// Stores a result on the job's row.
    #[must_use]
    pub fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    /// Ends the job as cancelled: what it worked for is gone. The `ended` hook does not run.
    #[must_use]
    pub fn cancelled(reason: impl Into<String>) -> Self {
        Self { cancelled: Some(reason.into()), ..Self::default() }
    }
}

/// A failing or waiting attempt whose job goes on.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The job's subject.
    pub subject: Option<Uuid>,
    /// Stable word for the kind of error, such as `network`.
    pub class: String,
    /// For a person; holds no secret.
    pub message: String,
}

/// The end of a job that did not complete.
#[derive(Debug, Clone)]
pub struct End {
    /// The job's subject.
    pub subject: Option<Uuid>,
    /// True where a person or a deletion stopped it, false where it was discarded.
    pub cancelled: bool,
    /// Stable word for the kind of error, such as `network`, `crashed`, `undecodable`, `cancelled`.
    pub class: String,
    /// For a person; holds no secret.
    pub message: String,
}
