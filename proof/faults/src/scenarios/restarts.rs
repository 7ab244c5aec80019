//! The database restarts, or is away: promises 4 and 5. No attempt is lost or repeated, and no process ends.

use std::time::Duration;

use bedel_test_support::Shutdown;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::{Form, Suite};

pub async fn play(suite: &Suite) -> Outcome {
    let form = suite.form();
    suite
        .play_apart("restarts", suite.rounds(3, 13), async |round, number| {
            let (ending, away) = match (number % 3, form) {
                (0, _) => (Shutdown::Fast, Duration::ZERO),
                (1, _) => (Shutdown::Immediate, Duration::ZERO),
                (_, Form::Long) if number == 2 => (Shutdown::Fast, Duration::from_secs(60)),
                _ => (Shutdown::Immediate, Duration::from_secs(5)),
            };
            one(round, ending, away).await
        })
        .await
}

async fn one(mut round: Round, ending: Shutdown, away: Duration) -> Result<Outcome, FaultsError> {
    let mut workers = round.workers(2).await?;
    for _ in 0..10 {
        let act = match round.plan.index(3) {
            0 => Act::March(5, round.plan.between(50, 400)),
            1 => Act::Promote(round.plan.between(50, 900), round.plan.between(50, 900)),
            _ => Act::Sleep(round.plan.between(100, 2500)),
        };
        round.enqueue(act.clone(), 2).await?;
        round.enqueue_errand(act).await?;
    }
    tokio::time::sleep(round.plan.millis(50, 1500)).await;
    round.server.cluster.restart(ending, away).await?;
    round.settle(Duration::from_secs(60)).await;
    let allowance =
        Allowance { starts: Some(1), forgotten_claims: ending != Shutdown::Fast, ..Allowance::default() };
    let mut outcome = Outcome { faults: 1, ..round.check(&allowance).await? };
    for worker in &mut workers {
        if let Some(status) = worker.ended() {
            outcome.lost(format!("{} ended with {status}", worker.name()));
        }
    }
    Ok(outcome)
}
