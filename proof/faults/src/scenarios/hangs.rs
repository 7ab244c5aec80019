//! Handlers that never return: their kind's timeout fails the attempt; other jobs are not affected.

use std::time::Duration;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

const HANGING: usize = 3;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("hangs", suite.rounds(1, 10), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let _worker = round.workers(1).await?;
    let mut allowance = Allowance { errors: 2, ..Allowance::default() };
    for _ in 0..HANGING {
        allowance.discarded.insert(round.enqueue_hasty(Act::Hang).await?);
        let act = Act::Sleep(round.plan.between(20, 300));
        round.enqueue(act, 2).await?;
    }
    round.settle(Duration::from_secs(30)).await;
    let mut outcome = Outcome { faults: HANGING, ..round.check(&allowance).await? };
    let timeouts: i64 = sqlx::query_scalar(
        "-- hangs::timeouts
         SELECT count(*) FROM queue.failed_attempts JOIN queue.jobs ON id = job_id
          WHERE class = 'attempt-timeout' AND kind = 'hasty'",
    )
    .fetch_one(&round.pool)
    .await?;
    if timeouts != 2 * HANGING as i64 {
        outcome.lost(format!("{timeouts} timeouts in the history, not {}", 2 * HANGING));
    }
    Ok(outcome)
}
