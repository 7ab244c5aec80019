//! The kinds a process knows, each with its code behind one erased entry.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::attempt::Attempt;
use crate::backend::{Delivery, run_kind};
use crate::claim::Claimed;
use crate::enqueue::NewJob;
use crate::held::HeldGuard;
use crate::job::{End, Job, Policy};
use crate::settle::{Process, Settlement};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind's `ended` hook.
type Ended<C> =
    for<'a> fn(&'a C, &'a End, &'a mut PgConnection) -> BoxFuture<'a, Result<Vec<NewJob>, sqlx::Error>>;

/// Sends claimed jobs of one kind to its apalis worker.
pub(crate) type Deliver = Box<dyn Fn(Claimed, Attempt, HeldGuard) + Send + Sync>;

/// What starting a kind gives: where to deliver, and the apalis worker to run.
pub(crate) struct Started {
    pub(crate) deliver: Deliver,
    pub(crate) worker: BoxFuture<'static, ()>,
}

struct Entry<C> {
    kind: &'static str,
    policy: fn() -> Policy,
    new_job: fn(Value) -> Result<NewJob, serde_json::Error>,
    start: fn(C, Arc<Process>, usize) -> Started,
    ended: Ended<C>,
}

/// The kinds a process knows.
pub struct Registry<C> {
    ctx: C,
    entries: Arc<BTreeMap<&'static str, Entry<C>>>,
}

impl<C: Clone> Clone for Registry<C> {
    fn clone(&self) -> Self {
        Self { ctx: self.ctx.clone(), entries: Arc::clone(&self.entries) }
    }
}

impl<C> std::fmt::Debug for Registry<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

/// Why args that came from outside are no job.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// No such kind.
    #[error("there is no kind `{kind}`; known kinds: {known}")]
    UnknownKind {
        /// The kind that was asked for.
        kind: String,
        /// The kinds there are.
        known: String,
    },
    /// The args are not this kind's.
    #[error("these are no args of `{kind}`: {source}")]
    Args {
        /// The kind.
        kind: String,
        /// What is wrong with them.
        source: serde_json::Error,
    },
}

impl<C: Clone + Send + Sync + 'static> Registry<C> {
    /// A registry whose jobs all get `ctx`.
    #[must_use]
    pub fn new(ctx: C) -> Self {
        Self { ctx, entries: Arc::default() }
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// Where the kind is registered twice or the registry was already shared.
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
        };
        assert!(entries.insert(J::KIND, entry).is_none(), "kind `{}` is registered twice", J::KIND);
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

    /// The context every job gets.
    #[must_use]
    pub fn context(&self) -> &C {
        &self.ctx
    }

    /// A job from a kind's name and args that came from outside.
    ///
    /// # Errors
    /// Where the kind is unknown or the args are not its own.
    pub fn new_job(&self, kind: &str, args: Value) -> Result<NewJob, EnqueueError> {
        let entry = self.entries.get(kind).ok_or_else(|| EnqueueError::UnknownKind {
            kind: kind.to_owned(),
            known: self.kinds().join(", "),
        })?;
        (entry.new_job)(args).map_err(|source| EnqueueError::Args { kind: kind.to_owned(), source })
    }

    /// The registered literal of a kind's name.
    pub(crate) fn kind(&self, kind: &str) -> Option<&'static str> {
        self.entries.get(kind).map(|entry| entry.kind)
    }

    /// Starts the apalis worker of `kind`, which takes up to `slots` attempts.
    pub(crate) fn start(&self, kind: &str, process: &Arc<Process>, slots: usize) -> Option<Started> {
        let entry = self.entries.get(kind)?;
        Some((entry.start)(self.ctx.clone(), Arc::clone(process), slots))
    }

    /// The policy of `kind`.
    pub(crate) fn policy(&self, kind: &str) -> Option<Policy> {
        self.entries.get(kind).map(|entry| (entry.policy)())
    }

    /// Runs the kind's `ended` hook. A kind that is not known here has none.
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

fn start<J: Job>(ctx: J::Context, process: Arc<Process>, slots: usize) -> Started {
    let (sender, deliveries) = mpsc::channel::<Delivery<J>>(slots.max(1));
    let deliver = move |claimed: Claimed, attempt: Attempt, guard: HeldGuard| {
        let settlement = Settlement {
            process: Arc::clone(&process),
            ctx: ctx.clone(),
            attempt,
            claimed: Arc::new(claimed),
        };
        // The channel holds as many as there are slots, and no more than that is ever claimed.
        if sender.try_send(Delivery { settlement, guard }).is_err() {
            tracing::error!(kind = J::KIND, "the kind's worker is gone; the job will be released");
        }
    };
    Started { deliver: Box::new(deliver), worker: Box::pin(run_kind(deliveries)) }
}
