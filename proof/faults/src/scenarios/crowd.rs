//! Fifty worker processes at the defaults, a third of them killed at the same moment, as a provider takes spot machines back:
//! promises 2 to 6.

use std::time::Duration;

use super::support::some_act;
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::report::Outcome;
use crate::rescue::rescues;
use crate::round::{Pace, Round};
use crate::suite::Suite;

/// Worker processes.
const WORKERS: usize = 50;

/// How many of them are killed.
const KILLED: usize = 17;

/// Chains of two jobs.
const CHAINS: usize = 120;

/// The promised rescue time at the defaults.
const PROMISED_MS: i64 = 15_000;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("crowd", suite.rounds(1, 5), 1, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    round.pace = Pace::defaults();
    round.slots = 1;
    round.connections = 2;
    let mut workers = round.workers(WORKERS).await?;
    for _ in 0..CHAINS {
        let act = some_act(&mut round.plan, 500, 4000);
        round.enqueue(act, 2).await?;
    }
    tokio::time::sleep(round.plan.millis(500, 4000)).await;
    let mut kills = Vec::new();
    for _ in 0..KILLED {
        let victim = round.plan.index(workers.len());
        kills.push(workers.swap_remove(victim).kill()?);
    }
    round.settle(Duration::from_secs(120)).await;
    // Each process runs one job of each of two kinds.
    let crashes = i32::try_from(2 * KILLED).expect("small");
    let allowance = Allowance { crashes: 1, crashes_in_all: Some(crashes), ..Allowance::default() };
    let outcome = round.check(&allowance).await?;
    let mut outcome = Outcome { faults: KILLED, rescues: rescues(&round, &kills).await?, ..outcome };
    for late in outcome.rescues.available.clone().into_iter().filter(|ms| *ms > PROMISED_MS) {
        outcome.stuck(format!("a job was available again only {late} ms after the kill"));
    }
    for worker in &mut workers {
        if let Some(status) = worker.ended() {
            outcome.lost(format!("{} ended with {status}", worker.name()));
        }
    }
    Ok(outcome)
}
