//! The database dies under a stream of claims: a claim that never reached the disk harms nothing, because the
//! next one has a new lease. An acknowledged completion is on the disk.

use std::time::Duration;

use bedel_test_support::Shutdown;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// Deaths of the server per round.
const DEATHS: usize = 2;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play_apart("server-kills", suite.rounds(2, 12), async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let mut workers = round.workers(2).await?;
    for _ in 0..120 {
        let act = Act::Sleep(round.plan.between(1, 40));
        round.enqueue(act.clone(), 2).await?;
        round.enqueue_errand(act).await?;
    }
    for _ in 0..DEATHS {
        tokio::time::sleep(round.plan.millis(50, 500)).await;
        let ending = if round.plan.chance(50) { Shutdown::Kill } else { Shutdown::Immediate };
        round.server.cluster.restart(ending, Duration::ZERO).await?;
    }
    round.settle(Duration::from_secs(60)).await;
    let allowance = Allowance { starts: Some(1), forgotten_claims: true, ..Allowance::default() };
    let mut outcome = Outcome { faults: DEATHS, ..round.check(&allowance).await? };
    for worker in &mut workers {
        if let Some(status) = worker.ended() {
            outcome.lost(format!("{} ended with {status}", worker.name()));
        }
    }
    Ok(outcome)
}
