//! Handlers and hooks that panic: each fails its attempt and nothing else.

use std::time::Duration;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// Of each sort.
const PANICS: usize = 5;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("panics", suite.rounds(1, 10), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let mut worker = round.workers(1).await?.remove(0);
    for _ in 0..PANICS {
        round.enqueue(Act::Panic, 1).await?;
        round.enqueue(Act::PanicInCommit, 1).await?;
        let act = Act::Sleep(round.plan.between(1, 200));
        round.enqueue(act, 2).await?;
    }
    round.settle(Duration::from_secs(30)).await;
    let mut outcome = Outcome {
        faults: 2 * PANICS,
        ..round.check(&Allowance { errors: 1, ..Allowance::default() }).await?
    };
    let errors: i64 = sqlx::query_scalar("-- panics::errors\nSELECT sum(errors) FROM queue.jobs")
        .fetch_one(&round.pool)
        .await?;
    if errors != 2 * PANICS as i64 {
        outcome.over_budget(format!("{errors} errors counted for {} panics", 2 * PANICS));
    }
    if let Some(status) = worker.ended() {
        outcome.lost(format!("the worker ended with {status}"));
    }
    Ok(outcome)
}
