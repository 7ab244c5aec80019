//! Start latency: jobs are enqueued one at a time, 100 a second, each in its own transaction. Time runs from
//! before the enqueueing call to the start of the handler in the worker process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::bench::Bench;
use crate::clock;
use crate::contender::Contender;
use crate::database::Database;
use crate::error::{BenchError, Result};
use crate::measure::Values;
use crate::peers::floor;
use crate::worker::{Start, WorkerProcess};

/// 100 a second.
const PACE: Duration = Duration::from_millis(10);

/// Unmeasured jobs before the measured ones.
const WARMUP: u64 = 100;

/// Time for the worker to settle before the first job, and longest wait for the last one.
const SETTLE: Duration = Duration::from_secs(2);
const LAST_WITHIN: Duration = Duration::from_secs(30);

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender, db: &mut Database) -> Result<Values> {
    let jobs = WARMUP + bench.sizes.paced;
    let mut producer = contender.producer(&db.url, bench.tuning).await?;
    let url = db.url.clone();
    let start = Start {
        contender: contender.name(),
        url: &url,
        tuning: bench.tuning,
        target: jobs,
        fail_once: false,
        paced: true,
    };
    let mut worker = WorkerProcess::start(&start).await?;
    db.checkpoint().await?;
    worker.go().await?;
    tokio::time::sleep(SETTLE).await;
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut enqueued = Vec::new();
    for number in 0..jobs {
        ticks.tick().await;
        enqueued.push(clock::now());
        producer.one(number).await?;
    }
    let since = Instant::now();
    while worker.runs() < jobs {
        let left = LAST_WITHIN.saturating_sub(since.elapsed());
        tokio::time::timeout(left, worker.progress()).await.map_err(|_| BenchError::Late {
            contender: contender.name(),
            what: "the last paced job".to_owned(),
            seconds: LAST_WITHIN.as_secs(),
        })??;
    }
    let summary = worker.stop().await?;
    if let Some(what) = summary.complaint(jobs, 0) {
        return Err(BenchError::Wrong { contender: contender.name(), what });
    }
    let starts: HashMap<u64, u64> = summary.starts.into_iter().collect();
    let latencies = enqueued.iter().zip(0_u64..).skip(usize::try_from(WARMUP).expect("a small number"));
    Ok(percentiles(latencies.map(|(enqueued, number)| starts[&number] - enqueued).collect()))
}

/// The floor under every contender's latency.
pub async fn floor(bench: &Bench<'_>) -> Result<Values> {
    bench.cluster.create(floor::NAME).await?;
    let url = bench.cluster.url(floor::NAME);
    let latencies = floor::latencies(&url, WARMUP, bench.sizes.paced, PACE).await;
    bench.cluster.drop(floor::NAME).await?;
    Ok(percentiles(latencies?))
}

/// In milliseconds.
fn percentiles(mut nanoseconds: Vec<u64>) -> Values {
    nanoseconds.sort_unstable();
    let at = |share: f64| {
        let rank = (share * nanoseconds.len() as f64).ceil().max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank is a small whole number"
        )]
        let index = rank as usize - 1;
        nanoseconds.get(index).map_or(f64::NAN, |value| *value as f64 / 1e6)
    };
    Values::from([
        ("p50_ms".to_owned(), at(0.5)),
        ("p95_ms".to_owned(), at(0.95)),
        ("p99_ms".to_owned(), at(0.99)),
        ("max_ms".to_owned(), at(1.0)),
    ])
}

#[cfg(test)]
mod tests {
    use super::percentiles;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = percentiles((1..=150).rev().map(|ms| ms * 1_000_000).collect());
        assert_eq!((values["p50_ms"], values["p95_ms"]), (75.0, 143.0));
        assert_eq!((values["p99_ms"], values["max_ms"]), (149.0, 150.0));
    }
}
