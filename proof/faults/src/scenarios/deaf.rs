//! A handler that ignores its cancellation for 30 s: promise 10. The process drains and ends without it; its
//! job is released with its budgets untouched.

use std::time::Duration;

use rustix::process::Signal;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// The drain, twice the time that cancelled attempts get to end, and some for a busy machine.
const ENDED_WITHIN: Duration = Duration::from_secs(16);

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("deaf", suite.rounds(1, 5), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let mut worker = round.workers(1).await?.remove(0);
    round.enqueue(Act::Deaf(30_000), 1).await?;
    round.enqueue(Act::Sleep(5_000), 1).await?;
    round.until("the attempts run", Duration::from_secs(20), async || Ok(round.starts()? == 2)).await?;
    tokio::time::sleep(round.plan.millis(0, 500)).await;
    worker.signal(Signal::TERM)?;
    let status = worker.ended_within(ENDED_WITHIN).await?;
    let _next = round.workers(1).await?;
    round.settle(Duration::from_secs(30)).await;
    let allowance = Allowance { starts: Some(2), ..Allowance::default() };
    let mut outcome = Outcome { faults: 1, ..round.check(&allowance).await? };
    if !status.success() {
        outcome.lost(format!("the worker ended with {status}"));
    }
    Ok(outcome)
}
