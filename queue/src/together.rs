//! The ends of plain attempts, written many at a time: while one statement is being made durable the next fills.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::error::{is_about_this_statement, is_passing};
use crate::fence::{self, Completed, DATABASE_RETRY, Failed, UNANSWERED};
use crate::held::{Held, HeldGuard};

/// Most ends in one statement.
const MOST: usize = 1000;

/// Pause of a job whose end was refused, where its time is not over.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Completed(Completed),
    Failed(Failed),
}

impl Outcome {
    fn job_id(&self) -> Uuid {
        match self {
            Self::Completed(completed) => completed.job_id,
            Self::Failed(failed) => failed.job_id,
        }
    }
}

/// The ends that are not written yet. Each keeps its slot until it is.
#[derive(Debug, Default)]
pub(crate) struct Together {
    pending: Mutex<Vec<(Outcome, HeldGuard)>>,
    ready: Notify,
}

impl Together {
    pub(crate) fn push(&self, outcome: Outcome, guard: HeldGuard) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push((outcome, guard));
        self.ready.notify_one();
    }

    /// Writes what comes until it is dropped.
    pub(crate) async fn run(&self, pool: &PgPool) {
        loop {
            let mut batch = {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                let most = pending.len().min(MOST);
                pending.drain(..most).collect::<Vec<_>>()
            };
            if batch.is_empty() {
                self.ready.notified().await;
                continue;
            }
            // Everybody locks jobs in the order of their ids.
            batch.sort_unstable_by_key(|(outcome, _)| outcome.job_id());
            let (outcomes, guards): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let waiting = write(pool, &outcomes).await;
            let (again, done): (Vec<_>, Vec<_>) = outcomes
                .into_iter()
                .zip(guards)
                .partition(|(outcome, _)| waiting.contains(&outcome.job_id()));
            Held::let_go(done.into_iter().map(|(_, guard)| guard).collect());
            for (outcome, guard) in again {
                self.push(outcome, guard);
            }
        }
    }
}

/// Writes all of them, or each by itself where one is in the way of the others: its row is held by somebody, or the database
/// refuses it. Returns the jobs whose ends have to be written again.
async fn write(pool: &PgPool, outcomes: &[Outcome]) -> Vec<Uuid> {
    let all: Vec<&Outcome> = outcomes.iter().collect();
    if write_patiently(pool, &all).await.is_ok() {
        return Vec::new();
    }
    let mut waiting = Vec::new();
    for outcome in all {
        match write_patiently(pool, &[outcome]).await {
            Ok(()) => {}
            Err(error) if is_about_this_statement(&error) => {
                tracing::warn!(%error, job = %outcome.job_id(), "an attempt's end waits for its row");
                waiting.push(outcome.job_id());
            }
            Err(error) => refuse(pool, outcome, &error).await,
        }
    }
    waiting
}

/// An end that the database refuses is a failure of the attempt, and spends a budget as any other: it must not come back for
/// ever.
async fn refuse(pool: &PgPool, outcome: &Outcome, error: &sqlx::Error) {
    tracing::error!(%error, job = %outcome.job_id(), "an attempt's end was refused");
    let (job_id, lease) = match outcome {
        Outcome::Completed(Completed { job_id, lease, .. })
        | Outcome::Failed(Failed { job_id, lease, .. }) => (*job_id, *lease),
    };
    let failed = Outcome::Failed(Failed {
        job_id,
        lease,
        class: "refused".to_owned(),
        message: "the database refused to write this attempt's end".to_owned(),
        spent: 1,
        delay: REFUSED_PAUSE,
        last: false,
    });
    if let Err(error) = write_patiently(pool, &[&failed]).await {
        tracing::error!(%error, %job_id, "that was refused too; the heartbeat will release the job");
    }
}

/// Writes for as long as the database is away. A statement that was done although its answer was lost changes nothing
/// when it is repeated: what ended under its lease does not run any more.
async fn write_patiently(pool: &PgPool, outcomes: &[&Outcome]) -> Result<(), sqlx::Error> {
    loop {
        match write_once(pool, outcomes).await {
            Err(error) if is_passing(&error) && !is_about_this_statement(&error) => {
                tracing::warn!(%error, attempts = outcomes.len(), "database away; the attempts' ends wait");
                tokio::time::sleep(DATABASE_RETRY).await;
            }
            outcome => return outcome,
        }
    }
}

async fn write_once(pool: &PgPool, outcomes: &[&Outcome]) -> Result<(), sqlx::Error> {
    let (mut completed, mut failed) = (Vec::with_capacity(outcomes.len()), Vec::new());
    for outcome in outcomes {
        match outcome {
            Outcome::Completed(attempt) => completed.push(attempt.clone()),
            Outcome::Failed(attempt) => failed.push(attempt.clone()),
        }
    }
    let mut connection = pool.acquire().await?;
    let write = async {
        let mut held = 0;
        if !completed.is_empty() {
            held += fence::complete(&mut connection, &completed).await?;
        }
        if !failed.is_empty() {
            let settled = fence::fail(&mut connection, &failed).await?;
            held += settled.len() as u64;
            let discarded = settled.iter().filter(|(_, discarded)| *discarded).count();
            if discarded > 0 {
                tracing::warn!(discarded, "jobs discarded");
            }
        }
        let lost = (outcomes.len() as u64).saturating_sub(held);
        if lost > 0 {
            tracing::warn!(lost, "leases lost; nothing of these attempts is written");
        }
        Ok(())
    };
    let answer = tokio::time::timeout(UNANSWERED, write).await;
    answer.unwrap_or_else(|_| {
        // A connection that does not answer would not answer the pool either, which has no other.
        connection.close_on_drop();
        Err(sqlx::Error::PoolTimedOut)
    })
}
