//! A kind of job: typed args, a policy and its hooks.

pub(crate) mod attempt;
pub(crate) mod end;
pub(crate) mod new_job;
pub(crate) mod progress;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgConnection;
use std::time::Duration;

use crate::error::JobError;
use crate::policy::Policy;
use attempt::Attempt;
use end::{Commit, End, Failure};
use new_job::NewJob;

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

impl NewJob {
    /// A job of `J`'s kind with these args and `J`'s policy.
    ///
    /// # Panics
    /// If the args cannot be written as JSON: a bug in their type.
    #[must_use]
    pub fn new<J: Job>(args: &J) -> Self {
        let policy = J::policy();
        Self {
            kind: J::KIND,
            args: serde_json::to_value(args).expect("the args of a job kind are plain data"),
            policy,
            subject: None,
            unique_key: None,
            group_key: None,
            priority: 2,
            delay: Duration::ZERO,
        }
    }
}
