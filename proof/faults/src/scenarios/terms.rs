//! SIGTERM storms: promise 10. Released jobs spend no budget.

use std::time::Duration;

use rustix::process::Signal;

use super::support::some_act;
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// Workers stopped per round.
const STOPS: usize = 8;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("terms", suite.rounds(3, 20), 4, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let mut workers = round.workers(3).await?;
    for _ in 0..12 {
        let act = some_act(&mut round.plan, 100, 1500);
        round.enqueue(act.clone(), 2).await?;
        round.enqueue_errand(act).await?;
    }
    let mut stopped = Vec::new();
    for _ in 0..STOPS {
        tokio::time::sleep(round.plan.millis(20, 350)).await;
        let victim = round.plan.index(workers.len());
        let victim = workers.swap_remove(victim);
        // A process without its signal handler yet would be killed, which is another scenario.
        round.registered(&victim).await?;
        victim.signal(Signal::TERM)?;
        stopped.push(victim);
        workers.push(round.worker()?);
    }
    let mut faulty = Vec::new();
    for mut process in stopped {
        let status = process.ended_within(Duration::from_secs(20)).await?;
        if !status.success() {
            faulty.push(format!("{} ended with {status}", process.name()));
        }
    }
    round.settle(Duration::from_secs(60)).await;
    let mut outcome = Outcome { faults: STOPS, ..round.check(&Allowance::default()).await? };
    faulty.into_iter().for_each(|detail| outcome.lost(detail));
    Ok(outcome)
}
