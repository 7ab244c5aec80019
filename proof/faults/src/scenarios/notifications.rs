//! Every notification is lost: promise 9. Polling finds the work, later.

use std::time::Duration;

use super::support::some_act;
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("notify", suite.rounds(1, 10), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let proxy = round.proxy()?;
    proxy.mute_notifications();
    let worker = round.worker_at(&proxy.url(&round.url))?;
    round.registered(&worker).await?;
    for _ in 0..6 {
        tokio::time::sleep(round.plan.millis(0, 200)).await;
        let act = some_act(&mut round.plan, 10, 200);
        round.enqueue(act, 2).await?;
    }
    round.settle(Duration::from_secs(30)).await;
    let allowance = Allowance { starts: Some(1), ..Allowance::default() };
    let outcome = round.check(&allowance).await?;
    match proxy.muted_notifications() {
        0 => Err(FaultsError::Setup("no notification was sent, so the round proves nothing".to_owned())),
        faults => Ok(Outcome { faults, ..outcome }),
    }
}
