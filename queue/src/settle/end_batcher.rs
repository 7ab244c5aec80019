//! Writes the ends of plain attempts in batches. While one statement reaches the disk, the next batch fills.
//!
//! One end must not hold up the others. If a row is locked, the batch is written without it, and the end is parked: it
//! is tried again apart from the others. If the database refuses a batch, halves of it are written until the refused
//! end stands alone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt_end::AttemptEnd;
use super::end_writer::{self, Outcome};
use super::outcome_metrics::record_outcome;
use crate::liveness::in_flight::{InFlight, SlotGuard};

/// Most ends in one statement.
const MAX_BATCH: usize = 1000;

/// Pause before a parked end is tried again; doubled each time.
const PARKED_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause of a parked end.
const MAX_PARKED_PAUSE: Duration = Duration::from_secs(30);

/// An end that is not written yet. It keeps its slot until it is.
#[derive(Debug)]
pub(crate) struct UnwrittenEnd {
    pub(crate) end: AttemptEnd,
    pub(crate) kind: &'static str,
    /// When the attempt began.
    pub(crate) started: Instant,
    pub(crate) guard: SlotGuard,
}

impl UnwrittenEnd {
    fn record(&self, is_written: bool) {
        let outcome = match (&self.end, is_written) {
            (_, false) => "lost",
            (AttemptEnd::Completed(_), true) => "completed",
            (AttemptEnd::Failed(_), true) => "failed",
        };
        record_outcome(self.kind, self.started, outcome);
    }
}

/// An end whose row is locked.
#[derive(Debug)]
struct ParkedEnd {
    end: UnwrittenEnd,
    due: Instant,
    pause: Duration,
}

/// Ends that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct EndBatcher {
    pending: Mutex<Vec<UnwrittenEnd>>,
    ready: Notify,
}

impl EndBatcher {
    pub(crate) fn push(&self, end: UnwrittenEnd) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(end);
        self.ready.notify_one();
    }

    /// Writes batches until it is dropped.
    pub(crate) async fn run(&self, pool: &PgPool) {
        let mut parked: Vec<ParkedEnd> = Vec::new();
        loop {
            let batch = self.take_batch();
            let due: Vec<ParkedEnd> = {
                let now = Instant::now();
                parked.extract_if(.., |end| end.due <= now).take(MAX_BATCH).collect()
            };
            if batch.is_empty() && due.is_empty() {
                let next = parked.iter().map(|end| end.due).min();
                tokio::select! {
                    () = self.ready.notified() => {}
                    () = until(next) => {}
                }
                continue;
            }
            if !batch.is_empty() {
                let blocked = write(pool, batch, false).await;
                parked.extend(blocked.into_iter().map(|end| park(end, PARKED_PAUSE)));
            }
            if !due.is_empty() {
                let pauses: Vec<(Uuid, Duration)> =
                    due.iter().map(|parked| (parked.end.end.ids().1, parked.pause)).collect();
                let blocked = write(pool, due.into_iter().map(|parked| parked.end).collect(), true).await;
                parked.extend(blocked.into_iter().map(|end| {
                    let lease = end.end.ids().1;
                    let last = pauses.iter().find(|(of, _)| *of == lease).map_or(PARKED_PAUSE, |(_, p)| *p);
                    park(end, (last * 2).min(MAX_PARKED_PAUSE))
                }));
            }
        }
    }

    fn take_batch(&self) -> Vec<UnwrittenEnd> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let size = pending.len().min(MAX_BATCH);
        pending.drain(..size).collect()
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn park(end: UnwrittenEnd, pause: Duration) -> ParkedEnd {
    tracing::warn!(job = %end.end.ids().0, ?pause, "an attempt's end waits: its row is locked");
    ParkedEnd { end, due: Instant::now() + pause, pause }
}

/// Writes the batch, and frees the slots of what is written or lost. Returns the ends whose rows are locked. `skips`:
/// locked rows are expected.
async fn write(pool: &PgPool, mut batch: Vec<UnwrittenEnd>, skips: bool) -> Vec<UnwrittenEnd> {
    // Lock order everywhere: jobs by id.
    batch.sort_unstable_by_key(|end| end.end.ids().0);
    let ends: Vec<&AttemptEnd> = batch.iter().map(|end| &end.end).collect();
    let outcomes = end_writer::write(pool, &ends, skips).await;
    let (mut blocked, mut done) = (Vec::new(), Vec::new());
    for (end, outcome) in batch.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Locked => blocked.push(end),
            Outcome::Written | Outcome::Lost => {
                end.record(outcome == Outcome::Written);
                done.push(end.guard);
            }
            Outcome::Abandoned => end.guard.abandon(),
        }
    }
    InFlight::release_all(done);
    blocked
}
