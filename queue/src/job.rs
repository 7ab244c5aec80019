//! A kind of job: typed args, a policy and its hooks.

pub(crate) mod attempt;
pub(crate) mod discard;
pub(crate) mod end;
mod hook;
pub(crate) mod new_job;
pub(crate) mod progress;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgConnection;

use crate::error::JobError;
use crate::policy::Policy;
use attempt::Attempt;
use end::{Commit, End, Failure};
use hook::{DefaultHook, Hook};
use new_job::NewJob;

/// A kind of job.
///
/// One attempt is `begin` (a short transaction), `run` (as long as it takes, without a transaction), then
/// `commit` (a short transaction). The caller's rows, this job's completion and the next job become visible
/// together. The attempt's lease fences all three: if the lease is lost, nothing is written.
///
/// `begin`, `run` and `commit` may be repeated, so running one twice must lead to the same rows and files.
/// Lock order inside the hooks: the caller's own row first; the queue then locks the job.
///
/// # Plain kinds
///
/// A kind that overrides neither `begin` nor `commit` is *plain*, without a declaration: the queue sees it in
/// the types of the two hooks. A plain kind costs less. It has no begin transaction, and one statement writes
/// the ends of many attempts. All promises stay the same: lease, budgets, history, backoff. If a plain kind
/// overrides `attempt_failed` or `ended`, its failed attempts are written one by one, in the transaction of
/// that hook. If it has a [breaker](Policy::breaker), so are all ends of its jobs with a group, because each
/// updates the breaker.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name stored in the table. It outlives renames of the type.
    const KIND: &'static str;

    /// What the job uses: pools, clients, configuration. Cloned for each attempt.
    type Context: Clone + Send + Sync + 'static;

    /// What `run` passes to `commit`.
    type Output: Send + Sync + 'static;

    /// Attempts, backoff, timeout of this kind.
    fn policy() -> Policy;

    /// Writes the first visible state, before the work starts.
    ///
    /// # Errors
    /// A `JobError` ends the attempt as one of `run` would.
    fn begin(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<(), JobError>> + Send {
        let _ = (ctx, attempt, tx);
        DefaultHook::returning(Ok(()))
    }

    /// The work. It is dropped at its next await point when the attempt is cancelled, released or has lost
    /// its lease. Blocking work must watch [`Attempt::cancellation`].
    ///
    /// # Errors
    /// A `JobError` says whether to retry, to wait or to give up.
    fn run(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<Self::Output, JobError>> + Send;

    /// Writes the caller's rows, in the transaction that completes the job.
    ///
    /// # Errors
    /// The queue retries transient database errors while the lease holds. Any other `JobError` ends the
    /// attempt as one of `run` would.
    fn commit(
        &self,
        ctx: &Self::Context,
        attempt: &Attempt,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<Commit, JobError>> + Send {
        let _ = (ctx, attempt, output, tx);
        DefaultHook::returning(Ok(Commit::done()))
    }

    /// Runs in the transaction that records a failed or waiting attempt, if the job will run again. It gets
    /// only the subject.
    ///
    /// # Errors
    /// Only those of the database.
    fn attempt_failed(
        ctx: &Self::Context,
        failure: &Failure,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        let _ = (ctx, failure, tx);
        DefaultHook::returning(Ok(()))
    }

    /// Runs in the transaction that discards or cancels the job. It gets only the subject, because the args
    /// may be undecodable. Returns jobs to enqueue in the same transaction.
    ///
    /// # Errors
    /// Only those of the database.
    fn ended(
        ctx: &Self::Context,
        end: &End,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<Vec<NewJob>, sqlx::Error>> + Send {
        let _ = (ctx, end, tx);
        DefaultHook::returning(Ok(Vec::new()))
    }
}

/// True if the kind overrides neither `begin` nor `commit`.
pub(crate) fn is_plain<J: Job>() -> bool {
    !Hook::of_four(J::begin).is_overridden() && !Hook::of_five(J::commit).is_overridden()
}

/// True if the kind overrides neither `attempt_failed` nor `ended`.
pub(crate) fn fails_without_hooks<J: Job>() -> bool {
    !Hook::of_three(J::attempt_failed).is_overridden() && !Hook::of_three(J::ended).is_overridden()
}

/// True if the kind overrides `ended`.
pub(crate) fn ends_with_hook<J: Job>() -> bool {
    Hook::of_three(J::ended).is_overridden()
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
            priority: policy.priority.clamp(1, 4),
            delay: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A kind with no hook, and one kind for each hook.
    macro_rules! kind {
        ($name:ident { $($hook:item)* }) => {
            #[derive(Serialize, Deserialize)]
            struct $name;

            impl Job for $name {
                const KIND: &'static str = stringify!($name);
                type Context = ();
                type Output = ();

                fn policy() -> Policy {
                    Policy::default()
                }

                async fn run(&self, (): &(), _: &Attempt) -> Result<(), JobError> {
                    Ok(())
                }

                $($hook)*
            }
        };
    }

    kind!(NoHook {});
    kind!(Begins {
        async fn begin(&self, (): &(), _: &Attempt, _: &mut PgConnection) -> Result<(), JobError> {
            Ok(())
        }
    });
    kind!(Commits {
        // The default's own result, without `async`: still the kind's own body.
        fn commit(
            &self,
            (): &(),
            _: &Attempt,
            (): &(),
            _: &mut PgConnection,
        ) -> impl Future<Output = Result<Commit, JobError>> + Send {
            std::future::ready(Ok(Commit::done()))
        }
    });
    kind!(Fails {
        async fn attempt_failed((): &(), _: &Failure, _: &mut PgConnection) -> Result<(), sqlx::Error> {
            Ok(())
        }
    });
    kind!(Ends {
        async fn ended((): &(), _: &End, _: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
            Ok(Vec::new())
        }
    });

    #[test]
    fn a_kind_is_plain_unless_it_overrides_begin_or_commit() {
        assert!(is_plain::<NoHook>() && is_plain::<Fails>() && is_plain::<Ends>());
        assert!(!is_plain::<Begins>() && !is_plain::<Commits>());
    }

    #[test]
    fn failures_need_no_hooks_unless_a_kind_overrides_one() {
        assert!(fails_without_hooks::<NoHook>() && fails_without_hooks::<Begins>());
        assert!(!fails_without_hooks::<Fails>() && !fails_without_hooks::<Ends>());
        assert!(ends_with_hook::<Ends>() && !ends_with_hook::<Fails>());
    }
}
