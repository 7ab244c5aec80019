//! The apalis backend of one kind, and the tower layer that settles its attempts.
//!
//! The claimer sends claimed jobs through a channel, never more than there are free slots. The backend
//! decodes their args and passes them to the apalis worker. `Kind = Ephemeral`: apalis decodes nothing, so
//! undecodable args discard their own job instead of ending the worker. No method returns an error, because
//! any error ends an apalis worker. Database errors are handled where statements are sent.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use apalis::layers::{TimeoutLayer, catch_panic::CatchPanicLayer};
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::BoxDynError;
use apalis_core::task::{Task, builder::TaskBuilder};
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use serde_json::error::Category;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tower::layer::util::Identity;
use tower::{Layer, Service};
use tracing::Instrument;

use crate::error::JobError;
use crate::fence::Completed;
use crate::job::{Job, fails_without_hooks, is_plain};
use crate::liveness::in_flight::SlotGuard;
use crate::settle::attempt_end::AttemptEnd;
use crate::settle::end_batcher::UnwrittenEnd;
use crate::settle::outcome_metrics::record_outcome;
use crate::settle::settlement::Settlement;

/// Outcome of an attempt whose end could not be written.
const UNWRITTEN: &str = "unwritten";

/// A claimed job on its way to its handler.
pub(super) struct Delivery<J: Job> {
    pub(super) settlement: Settlement<J>,
    pub(super) guard: SlotGuard,
}

/// What the handler gets: decoded args, or why they could not be decoded.
pub(super) struct Work<J: Job> {
    job: Arc<Result<J, JobError>>,
    settlement: Settlement<J>,
    /// Holds the slot until the attempt is settled.
    guard: Option<SlotGuard>,
}

impl<J: Job> Work<J> {
    fn new(delivery: Delivery<J>) -> Self {
        let claimed = &delivery.settlement.claimed;
        let job = if claimed.spent {
            Err(JobError::fatal("crashed", crashed(claimed.crashes)))
        } else if let (Some(group), Some(last_error)) = (&claimed.group_key, &claimed.group_error) {
            // Its time is up, so this wait ends the job.
            let message = format!("{group} was down until this job's time was up; last error: {last_error}");
            Err(JobError::wait("group-down", message, Duration::ZERO))
        } else {
            decode(&claimed.args.0)
        };
        Self { job: Arc::new(job), settlement: delivery.settlement, guard: Some(delivery.guard) }
    }
}

/// Why a job that crashed gets no more runs. The crash that made it a suspect is counted, so one more than those alone.
fn crashed(crashes: i32) -> String {
    match crashes {
        ..=1 => "the worker process died during this job when its time was up; it is not retried".to_owned(),
        _ => format!("the worker process died during this job {crashes} times in a row; it is not retried"),
    }
}

/// The apalis backend of kind `J`.
struct KindBackend<J: Job> {
    deliveries: mpsc::Receiver<Delivery<J>>,
}

impl<J: Job> Backend for KindBackend<J> {
    type Task = Task<Work<J>>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut TaskContext<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.deliveries
            .poll_recv(cx)
            .map(|delivery| delivery.map(|delivery| Ok(TaskBuilder::new(Work::new(delivery)).build())))
    }

    fn poll_close(
        &mut self,
        _: &mut TaskContext<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        // An apalis worker whose source has ended waits for a stop.
        if !worker.is_shutting_down() {
            let _ = worker.stop();
        }
        Poll::Ready(Ok(()))
    }
}

impl<J: Job> BackendConfig for KindBackend<J> {
    type Args = Work<J>;
    type Id = uuid::Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// Runs the apalis worker of kind `J` until the sending side is dropped and the last attempt is settled.
pub(super) async fn run_kind<J: Job>(deliveries: mpsc::Receiver<Delivery<J>>) {
    let worker = WorkerBuilder::new(J::KIND)
        .backend(KindBackend { deliveries })
        .layer(SettleLayer)
        // The timeout starts when the inner service is called: after the begin transaction.
        .layer(TimeoutLayer::new(J::policy().timeout))
        .layer(CatchPanicLayer::with_panic_handler(panicked))
        .build(handle::<J>);
    if let Err(error) = worker.run().await {
        tracing::error!(kind = J::KIND, %error, "apalis worker ended");
    }
}

/// The handler. Each job runs on its own task, so attempts of one kind run in parallel. Dropping the future
/// aborts the task; the panic layer catches its panic.
async fn handle<J: Job>(work: Work<J>) -> Result<J::Output, BoxDynError> {
    let Work { job, settlement, .. } = work;
    let run = async move {
        match job.as_ref() {
            Ok(job) => job.run(&settlement.ctx, &settlement.attempt).await,
            Err(error) => Err(error.clone()),
        }
    };
    match AbortOnDropHandle::new(tokio::spawn(run.in_current_span())).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(error.into()),
        },
    }
}

/// Puts the three short transactions around the inner service.
#[derive(Debug, Clone, Copy)]
struct SettleLayer;

impl<S> Layer<S> for SettleLayer {
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Settle<S> {
        Settle { inner }
    }
}

#[derive(Debug, Clone)]
struct Settle<S> {
    inner: S,
}

impl<S, J> Service<Task<Work<J>>> for Settle<S>
where
    J: Job,
    S: Service<Task<Work<J>>, Response = J::Output, Error = BoxDynError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxDynError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut task: Task<Work<J>>) -> Self::Future {
        let guard = task.args.guard.take();
        let job = Arc::clone(&task.args.job);
        let settlement = task.args.settlement.clone();
        let span = tracing::info_span!(
            "attempt",
            kind = J::KIND,
            job = %settlement.attempt.job_id,
            subject = settlement.attempt.subject.map(tracing::field::display),
            attempt = settlement.attempt.number,
        );
        // The handler's own token: it also fires when the run ends, so that what a timeout or a panic left behind on
        // other threads stops beside the retry.
        let token = settlement.attempt.cancellation.child_token();
        task.args.settlement.attempt.cancellation = token.clone();
        // The service that was polled ready takes the call; a clone replaces it.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let run = async move {
            let _ended = token.drop_guard();
            inner.call(task).await
        };
        // Two futures, not one with two branches: that one would be as large as the larger branch.
        if settlement.is_batched() {
            let plain = async move {
                settle_plain(&settlement, run, guard).await;
                Ok(())
            };
            Box::pin(plain.instrument(span))
        } else {
            let hooked = async move {
                let is_written = settle(&settlement, job, run).await;
                abandon_unless(is_written, guard);
                Ok(())
            };
            Box::pin(hooked.instrument(span))
        }
    }
}

/// Begin, run, then commit or fail. If the lease is lost, nothing is written. False if the row may still be running.
async fn settle<J: Job>(
    settlement: &Settlement<J>,
    job: Arc<Result<J, JobError>>,
    run: impl Future<Output = Result<J::Output, BoxDynError>>,
) -> bool {
    let started = Instant::now();
    let cancellation = settlement.attempt.cancellation.clone();
    let work = async {
        let job = job.as_ref().as_ref().map_err(Clone::clone)?;
        if !is_plain::<J>() {
            settlement.begin(job).await?;
        }
        run.await.map_err(classify)
    };
    let outcome = tokio::select! {
        biased;
        () = cancellation.cancelled() => None,
        outcome = work => Some(outcome),
    };
    let settled = match (outcome, job.as_ref()) {
        // Released at shutdown, cancelled by a person, or taken over: `release` writes only if the lease
        // holds.
        (None, _) => {
            let is_written = settlement.release().await;
            record_outcome(J::KIND, started, if is_written { "released" } else { UNWRITTEN });
            return is_written;
        }
        (Some(Ok(output)), Ok(job)) => match settlement.commit(job, &output).await {
            Ok(()) => Ok("completed"),
            Err(error) if error.is_lost_lease() => Err(error),
            Err(error) => settlement.fail(&error).await.map(|()| "failed"),
        },
        (Some(Ok(_)), Err(error)) => settlement.fail(error).await.map(|()| "failed"),
        (Some(Err(error)), _) if error.is_lost_lease() => Err(error),
        (Some(Err(error)), _) => settlement.fail(&error).await.map(|()| "failed"),
    };
    finish(settlement, started, settled).await
}

/// Records how the attempt ended. If a hook failed, ends the attempt without hooks. False if that was not written.
async fn finish<J: Job>(
    settlement: &Settlement<J>,
    started: Instant,
    settled: Result<&'static str, JobError>,
) -> bool {
    match settled {
        Ok(outcome) => record_outcome(J::KIND, started, outcome),
        Err(error) if error.is_lost_lease() => {
            record_outcome(J::KIND, started, "lost");
            tracing::warn!("lease lost; nothing of this attempt is written");
        }
        Err(error) => {
            tracing::error!(%error, "a hook of this kind failed; the attempt ends without hooks");
            match settlement.fail_without_hooks(&error).await {
                Ok(()) => record_outcome(J::KIND, started, "failed"),
                Err(error) if error.is_lost_lease() => record_outcome(J::KIND, started, "lost"),
                Err(error) => {
                    record_outcome(J::KIND, started, UNWRITTEN);
                    tracing::warn!(%error, "attempt not ended; the heartbeat will release it");
                    settlement.note_unwritten(&error).await;
                    return false;
                }
            }
        }
    }
    true
}

/// Run, then pass the end to the batcher. The attempt keeps its slot until the end is written.
async fn settle_plain<J: Job>(
    settlement: &Settlement<J>,
    run: impl Future<Output = Result<J::Output, BoxDynError>>,
    guard: Option<SlotGuard>,
) {
    let started = Instant::now();
    let outcome = tokio::select! {
        biased;
        () = settlement.attempt.cancellation.cancelled() => None,
        outcome = run => Some(outcome.map_err(classify)),
    };
    let attempt = &settlement.attempt;
    let outcome = match outcome {
        None => {
            // Rare and large: boxed, so that other attempts do not pay for its size.
            let is_written = Box::pin(settlement.release()).await;
            record_outcome(J::KIND, started, if is_written { "released" } else { UNWRITTEN });
            return abandon_unless(is_written, guard);
        }
        Some(Err(error)) if error.is_lost_lease() => {
            record_outcome(J::KIND, started, "lost");
            tracing::warn!("lease lost; nothing of this attempt is written");
            return;
        }
        Some(Err(error)) if fails_without_hooks::<J>() && settlement.discard_hook.is_none() => {
            AttemptEnd::Failed(settlement.failed(&error))
        }
        Some(Err(error)) => {
            let is_written = Box::pin(async {
                let settled = settlement.fail(&error).await.map(|()| "failed");
                finish(settlement, started, settled).await
            })
            .await;
            return abandon_unless(is_written, guard);
        }
        Some(Ok(_)) => {
            AttemptEnd::Completed(Completed { job_id: attempt.job_id, lease: attempt.lease, result: None })
        }
    };
    if let Some(guard) = guard {
        settlement.shared.end_batcher.push(UnwrittenEnd { end: outcome, kind: J::KIND, started, guard });
    }
}

/// Frees the slot. The heartbeat looks for the row if the end was not written.
fn abandon_unless(is_written: bool, guard: Option<SlotGuard>) {
    if let Some(guard) = guard.filter(|_| !is_written) {
        guard.abandon();
    }
}

/// The layers' own errors become errors of the attempt.
fn classify(error: BoxDynError) -> JobError {
    let error = match error.downcast::<JobError>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    if error.is::<tower::timeout::error::Elapsed>() {
        return JobError::retry("attempt-timeout", "the attempt ran longer than its kind may");
    }
    tracing::error!(%error, "the attempt ended without an outcome");
    JobError::retry("internal", "the attempt ended without an outcome")
}

/// Decodes the args. The error names its category, not the value, which may be a secret.
fn decode<J: Job>(args: &str) -> Result<J, JobError> {
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| serde_json::from_str(args)));
    match read {
        Ok(Ok(job)) => Ok(job),
        Ok(Err(error)) => {
            let message = match error.classify() {
                // PostgreSQL checked the syntax.
                Category::Syntax => {
                    "the job's args hold a number beyond 1e308 or are nested more than 128 levels deep"
                }
                _ => "the job's args are not those of this kind (data error)",
            };
            Err(JobError::fatal("undecodable", message))
        }
        Err(_) => Err(JobError::fatal("undecodable", "reading the job's args panicked")),
    }
}

fn panicked(panic: &Box<dyn Any + Send>) -> JobError {
    // The text stays in the log: it may contain secrets.
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(text, "the handler panicked");
    JobError::retry("panic", "the handler panicked")
}
