//! Handlers hold every connection of the worker's pool for longer than "dead after": promise 4. No job is
//! rescued, because the heartbeat has a dedicated connection.

use std::time::Duration;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("pool", suite.rounds(2, 10), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    round.slots = 6;
    round.connections = 3;
    let _workers = round.workers(2).await?;
    for _ in 0..16 {
        let act = Act::HoldConnection(round.plan.between(1200, 1800));
        round.enqueue(act, 1).await?;
    }
    round.settle(Duration::from_secs(60)).await;
    let allowance = Allowance { starts: Some(1), ..Allowance::default() };
    Ok(Outcome { faults: 1, ..round.check(&allowance).await? })
}
