//! The work of most measures: enqueue no-op jobs, then let worker processes run them all.
//!
//! Time runs from the start of the first run until another session sees all jobs finished. It excludes
//! starting and connecting, and includes the last durable batch.

use std::time::Duration;

use futures::future::select_all;

use crate::bench::{Bench, enqueue};
use crate::clock;
use crate::contender::Contender;
use crate::database::Database;
use crate::error::{BenchError, Result};
use crate::measure::Values;
use crate::probe::Summary;
use crate::worker::{Start, WorkerProcess};

/// Longest drain.
const PATIENCE: Duration = Duration::from_secs(180);

/// Poll interval for unfinished jobs after the last run.
const GLANCE: Duration = Duration::from_millis(1);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    pub jobs: u64,
    pub processes: usize,
    pub fail_once: bool,
}

/// Enqueues, runs, and checks that each job ran once and is finished.
pub async fn drain(
    bench: &Bench<'_>,
    contender: &dyn Contender,
    db: &mut Database,
    what: Drain,
) -> Result<Values> {
    let mark = db.mark(contender).await?;
    db.checkpoint().await?;
    let mut producer = contender.producer(&db.url, bench.tuning).await?;
    enqueue(producer.as_mut(), what.jobs, None).await?;
    drop(producer);
    db.vacuum().await?;
    let written_before = db.written(contender).await?;

    let due = i64::try_from(what.jobs).expect("a number of jobs fits");
    let failures = if what.fail_once { what.jobs } else { 0 };
    let url = db.url.clone();
    let start = Start {
        contender: contender.name(),
        url: &url,
        tuning: bench.tuning,
        target: what.jobs + failures,
        fail_once: what.fail_once,
        paced: false,
    };
    let mut workers = Vec::new();
    for _ in 0..what.processes {
        workers.push(WorkerProcess::start(&start).await?);
    }
    let wal_before = db.wal().await?;
    for worker in &mut workers {
        worker.go().await?;
    }
    let work = async {
        runs_reach(&mut workers, start.target).await?;
        while db.finished(contender, &mark, due).await? < due {
            tokio::time::sleep(GLANCE).await;
        }
        Ok::<_, BenchError>(clock::now())
    };
    let end = tokio::time::timeout(PATIENCE, work).await.map_err(|_| BenchError::Late {
        contender: contender.name(),
        what: format!("{} jobs", what.jobs),
        seconds: PATIENCE.as_secs(),
    })??;
    let wal = db.wal().await? - wal_before;
    let mut summaries = Vec::new();
    for worker in workers {
        summaries.push(worker.stop().await?);
    }

    let summary = Summary::merged(&summaries);
    let wrong = |what| BenchError::Wrong { contender: contender.name(), what };
    if let Some(complaint) = summary.complaint(what.jobs, failures) {
        return Err(wrong(complaint));
    }
    let finished = db.finished(contender, &mark, due).await?;
    if finished != due {
        return Err(wrong(format!("{finished} of {due} jobs are finished")));
    }
    let written = db.written(contender).await?;
    let jobs = what.jobs as f64;
    Ok(Values::from([
        ("jobs_per_second".to_owned(), jobs / clock::seconds(summary.first, end)),
        ("row_versions_per_job".to_owned(), (written.versions - written_before.versions) as f64 / jobs),
        ("hot_updates_per_job".to_owned(), (written.hot - written_before.hot) as f64 / jobs),
        ("wal_bytes_per_job".to_owned(), wal as f64 / jobs),
        ("busiest_process_share".to_owned(), busiest(&summaries)),
    ]))
}

/// Waits until the workers have done `target` runs together.
async fn runs_reach(workers: &mut [WorkerProcess], target: u64) -> Result<()> {
    while workers.iter().map(WorkerProcess::runs).sum::<u64>() < target {
        select_all(workers.iter_mut().map(|worker| Box::pin(worker.progress()))).await.0?;
    }
    Ok(())
}

/// Share of all runs done by the busiest process.
fn busiest(summaries: &[Summary]) -> f64 {
    let all: u64 = summaries.iter().map(|summary| summary.runs).sum();
    let most = summaries.iter().map(|summary| summary.runs).max().unwrap_or(0);
    most as f64 / all.max(1) as f64
}
