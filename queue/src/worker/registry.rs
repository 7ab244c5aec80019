//! The kinds that a process knows, each with its type erased.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::backend::{Delivery, run_kind};
use crate::claim::claimed::Claimed;
use crate::job::attempt::Attempt;
use crate::job::discard::DiscardHook;
use crate::job::end::End;
use crate::job::new_job::NewJob;
use crate::job::{Job, ends_with_hook};
use crate::liveness::in_flight::SlotGuard;
use crate::policy::Policy;
use crate::settle::settlement::Settlement;
use crate::settle::worker_shared::WorkerShared;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind's `ended` hook.
type Ended<C> =
    for<'a> fn(&'a C, &'a End, &'a mut PgConnection) -> BoxFuture<'a, Result<Vec<NewJob>, sqlx::Error>>;

/// Sends claimed jobs of one kind to its apalis worker.
pub(crate) type Deliver = Box<dyn Fn(Claimed, Attempt, SlotGuard) + Send + Sync>;

/// A started kind: where to deliver its jobs, and the apalis worker to run.
pub(super) struct StartedKind {
    pub(crate) deliver: Deliver,
    pub(crate) worker: BoxFuture<'static, ()>,
}

struct Entry<C> {
    kind: &'static str,
    policy: fn() -> Policy,
    new_job: fn(Value) -> Result<NewJob, serde_json::Error>,
    start: fn(C, Option<DiscardHook<C>>, Arc<WorkerShared>, usize) -> StartedKind,
    ended: Ended<C>,
    ends_with_hook: fn() -> bool,
}

/// The kinds that a process knows, and the context that all their jobs share.
pub struct Registry<C> {
    ctx: C,
    entries: Arc<BTreeMap<&'static str, Entry<C>>>,
    discard_hook: Option<DiscardHook<C>>,
}

impl<C: Clone> Clone for Registry<C> {
    fn clone(&self) -> Self {
        Self { ctx: self.ctx.clone(), entries: Arc::clone(&self.entries), discard_hook: self.discard_hook }
    }
}

impl<C> std::fmt::Debug for Registry<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

/// Why a job could not be built from a kind's name and args.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// The kind is not registered.
    #[error("there is no kind `{kind}`; known kinds: {known}")]
    UnknownKind {
        /// The requested kind.
        kind: String,
        /// The registered kinds.
        known: String,
    },
    /// The args do not fit this kind.
    #[error("these are no args of `{kind}`: {source}")]
    Args {
        /// The kind.
        kind: String,
        /// Why they do not fit.
        source: serde_json::Error,
    },
}

impl<C: Clone + Send + Sync + 'static> Registry<C> {
    /// An empty registry. Every job gets `ctx`.
    #[must_use]
    pub fn new(ctx: C) -> Self {
        Self { ctx, entries: Arc::default(), discard_hook: None }
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// If the kind is registered twice, or the registry is already shared.
    #[must_use]
    pub fn register<J: Job<Context = C>>(mut self) -> Self {
        let entries =
            Arc::get_mut(&mut self.entries).expect("kinds are registered before the registry is shared");
        let entry = Entry {
            kind: J::KIND,
            policy: J::policy,
            new_job: |args| serde_json::from_value::<J>(args).map(|args| NewJob::new(&args)),
            start: start::<J>,
            ended: |ctx, end, tx| Box::pin(J::ended(ctx, end, tx)),
            ends_with_hook: ends_with_hook::<J>,
        };
        assert!(entries.insert(J::KIND, entry).is_none(), "kind `{}` is registered twice", J::KIND);
        self
    }

    /// Runs `hook` in the transaction that discards a job of any kind, after the kind's `ended`. The jobs that it
    /// returns are enqueued in the same transaction. It does not run for a cancelled job, nor when a hook of
    /// the kind itself fails. With a hook, failed attempts of plain kinds are written one by one.
    #[must_use]
    pub fn on_discard(mut self, hook: DiscardHook<C>) -> Self {
        self.discard_hook = Some(hook);
        self
    }

    /// The kinds, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.entries.keys().copied().collect()
    }

    /// The kinds with their policies, sorted.
    #[must_use]
    pub fn policies(&self) -> Vec<(&'static str, Policy)> {
        self.entries.values().map(|entry| (entry.kind, (entry.policy)())).collect()
    }

    /// The slots of each kind's policy, as [`WorkerOptions::slots`](crate::WorkerOptions::slots).
    #[must_use]
    pub fn default_slots(&self) -> BTreeMap<String, usize> {
        let slots = |policy: Policy| usize::try_from(policy.slots).unwrap_or(usize::MAX);
        self.policies().into_iter().map(|(kind, policy)| (kind.to_owned(), slots(policy))).collect()
    }

    /// The context that every job gets.
    #[must_use]
    pub fn context(&self) -> &C {
        &self.ctx
    }

    /// A job from a kind's name and untyped args.
    ///
    /// # Errors
    /// If the kind is unknown or the args do not fit it.
    pub fn new_job(&self, kind: &str, args: Value) -> Result<NewJob, EnqueueError> {
        let entry = self.entries.get(kind).ok_or_else(|| EnqueueError::UnknownKind {
            kind: kind.to_owned(),
            known: self.kinds().join(", "),
        })?;
        (entry.new_job)(args).map_err(|source| EnqueueError::Args { kind: kind.to_owned(), source })
    }

    /// The static name of a registered kind.
    pub(crate) fn kind(&self, kind: &str) -> Option<&'static str> {
        self.entries.get(kind).map(|entry| entry.kind)
    }

    /// Starts the apalis worker of `kind` for up to `slots` concurrent attempts.
    pub(super) fn start(&self, kind: &str, shared: &Arc<WorkerShared>, slots: usize) -> Option<StartedKind> {
        let entry = self.entries.get(kind)?;
        Some((entry.start)(self.ctx.clone(), self.discard_hook, Arc::clone(shared), slots))
    }

    /// The policy of `kind`.
    pub(crate) fn policy(&self, kind: &str) -> Option<Policy> {
        self.entries.get(kind).map(|entry| (entry.policy)())
    }

    /// True if the kind has an `ended` hook. A cancellation of its jobs must run it: see
    /// [`cancel`](Self::cancel). An unregistered kind has none.
    #[must_use]
    pub fn ends_with_hook(&self, kind: &str) -> bool {
        self.entries.get(kind).is_some_and(|entry| (entry.ends_with_hook)())
    }

    /// Runs the kind's `ended` hook. An unregistered kind has none.
    pub(crate) async fn ended(
        &self,
        kind: &str,
        subject: Option<Uuid>,
        reason: &str,
        tx: &mut PgConnection,
    ) -> Result<Vec<NewJob>, sqlx::Error> {
        let Some(entry) = self.entries.get(kind) else { return Ok(Vec::new()) };
        let end = End { subject, cancelled: true, class: "cancelled".to_owned(), message: reason.to_owned() };
        (entry.ended)(&self.ctx, &end, tx).await
    }
}

fn start<J: Job>(
    ctx: J::Context,
    discard_hook: Option<DiscardHook<J::Context>>,
    shared: Arc<WorkerShared>,
    slots: usize,
) -> StartedKind {
    let (sender, deliveries) = mpsc::channel::<Delivery<J>>(slots.max(1));
    let deliver = move |claimed: Claimed, attempt: Attempt, guard: SlotGuard| {
        let settlement = Settlement {
            shared: Arc::clone(&shared),
            ctx: ctx.clone(),
            discard_hook,
            attempt,
            claimed: Arc::new(claimed),
        };
        // The channel has room for all slots, and claims never exceed the free slots.
        if sender.try_send(Delivery { settlement, guard }).is_err() {
            tracing::error!(kind = J::KIND, "the kind's worker has ended; the job will be released");
        }
    };
    StartedKind { deliver: Box::new(deliver), worker: Box::pin(run_kind(deliveries)) }
}
