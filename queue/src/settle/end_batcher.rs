//! Writes the ends of plain attempts in batches. While one statement reaches the disk, the next batch fills.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::database_retry::{DATABASE_RETRY_PAUSE, STEP_TIMEOUT};
use crate::error::{is_passing, is_self_inflicted};
use crate::fence::{self, Completed, Failed};
use crate::liveness::in_flight::{InFlight, SlotGuard};
use crate::stale::note_stale;

/// Most ends in one statement.
const MAX_BATCH: usize = 1000;

/// Pause of a job whose end the database refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    Completed(Completed),
    Failed(Failed),
}

impl AttemptEnd {
    fn job_id(&self) -> Uuid {
        match self {
            Self::Completed(completed) => completed.job_id,
            Self::Failed(failed) => failed.job_id,
        }
    }
}

/// Ends that are not written yet. Each keeps its slot until it is.
#[derive(Debug, Default)]
pub(crate) struct EndBatcher {
    pending: Mutex<Vec<(AttemptEnd, SlotGuard)>>,
    ready: Notify,
}

impl EndBatcher {
    pub(crate) fn push(&self, end: AttemptEnd, guard: SlotGuard) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push((end, guard));
        self.ready.notify_one();
    }

    /// Writes batches until it is dropped.
    pub(crate) async fn run(&self, pool: &PgPool) {
        loop {
            let mut batch = {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                let size = pending.len().min(MAX_BATCH);
                pending.drain(..size).collect::<Vec<_>>()
            };
            if batch.is_empty() {
                self.ready.notified().await;
                continue;
            }
            // Lock order everywhere: jobs by id.
            batch.sort_unstable_by_key(|(end, _)| end.job_id());
            let (ends, guards): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let blocked = write(pool, &ends).await;
            let (again, done): (Vec<_>, Vec<_>) =
                ends.into_iter().zip(guards).partition(|(end, _)| blocked.contains(&end.job_id()));
            InFlight::release_all(done.into_iter().map(|(_, guard)| guard).collect());
            for (end, guard) in again {
                self.push(end, guard);
            }
        }
    }
}

/// Writes the batch. If one end blocks the rest (its row is locked, or the database refuses it), writes each
/// by itself. Returns the jobs whose ends must be written again.
async fn write(pool: &PgPool, ends: &[AttemptEnd]) -> Vec<Uuid> {
    let all: Vec<&AttemptEnd> = ends.iter().collect();
    if write_retrying(pool, &all).await.is_ok() {
        return Vec::new();
    }
    let mut blocked = Vec::new();
    for end in all {
        match write_retrying(pool, &[end]).await {
            Ok(()) => {}
            Err(error) if is_self_inflicted(&error) => {
                tracing::warn!(%error, job = %end.job_id(), "an attempt's end waits for its row");
                blocked.push(end.job_id());
            }
            Err(error) => fail_refused(pool, end, &error).await,
        }
    }
    blocked
}

/// The database refused the end: the attempt fails and spends a budget, so that the job cannot loop for ever.
async fn fail_refused(pool: &PgPool, end: &AttemptEnd, error: &sqlx::Error) {
    tracing::error!(%error, job = %end.job_id(), "the database refused an attempt's end");
    let (job_id, lease) = match end {
        AttemptEnd::Completed(Completed { job_id, lease, .. })
        | AttemptEnd::Failed(Failed { job_id, lease, .. }) => (*job_id, *lease),
    };
    let failed = AttemptEnd::Failed(Failed {
        job_id,
        lease,
        class: "refused".to_owned(),
        message: "the database refused to write this attempt's end".to_owned(),
        spent: 1,
        delay: REFUSED_PAUSE,
        last: false,
    });
    if let Err(error) = write_retrying(pool, &[&failed]).await {
        tracing::error!(%error, %job_id, "the failure was refused too; the heartbeat will release the job");
    }
}

/// Repeats the write while the database is away. A repeat after a lost answer changes nothing: a job that
/// ended under its lease no longer runs.
async fn write_retrying(pool: &PgPool, ends: &[&AttemptEnd]) -> Result<(), sqlx::Error> {
    loop {
        match write_once(pool, ends).await {
            Err(error) if is_passing(&error) && !is_self_inflicted(&error) => {
                note_stale(&error);
                tracing::warn!(%error, attempts = ends.len(), "database away; the attempts' ends wait");
                tokio::time::sleep(DATABASE_RETRY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn write_once(pool: &PgPool, ends: &[&AttemptEnd]) -> Result<(), sqlx::Error> {
    let (mut completed, mut failed) = (Vec::with_capacity(ends.len()), Vec::new());
    for end in ends {
        match end {
            AttemptEnd::Completed(attempt) => completed.push(attempt.clone()),
            AttemptEnd::Failed(attempt) => failed.push(attempt.clone()),
        }
    }
    let mut connection = pool.acquire().await?;
    let write = async {
        let mut written = 0;
        if !completed.is_empty() {
            written += fence::complete(&mut connection, &completed).await?;
        }
        if !failed.is_empty() {
            let settled = fence::fail(&mut connection, &failed).await?;
            written += settled.len() as u64;
            let discarded = settled.iter().filter(|(_, discarded)| *discarded).count();
            if discarded > 0 {
                tracing::warn!(discarded, "jobs discarded");
            }
        }
        let lost = (ends.len() as u64).saturating_sub(written);
        if lost > 0 {
            tracing::warn!(lost, "leases lost; nothing of these attempts is written");
        }
        Ok(())
    };
    let answer = tokio::time::timeout(STEP_TIMEOUT, write).await;
    answer.unwrap_or_else(|_| {
        // The peer vanished, and the pool has no other connection.
        connection.close_on_drop();
        Err(sqlx::Error::PoolTimedOut)
    })
}
