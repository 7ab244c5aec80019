//! Handlers that never end: the timeout of their kind fails the attempt, and the others do not notice.

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
    let told: i64 = sqlx::query_scalar(
        "-- hangs::told
         SELECT count(*) FROM queue.failed_attempts JOIN queue.jobs ON id = job_id
          WHERE class = 'attempt-timeout' AND kind = 'hasty'",
    )
    .fetch_one(&round.pool)
    .await?;
    if told != 2 * HANGING as i64 {
        outcome.lost(format!("{told} timeouts are told, of {}", 2 * HANGING));
    }
    Ok(outcome)
}
