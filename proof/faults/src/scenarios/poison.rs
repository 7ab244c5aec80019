//! A job that kills its process among 20 that do not, on one worker: promise 6.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::process::GLANCE;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// `max_crashes` of the kind: the process dies this often.
const DEATHS: i32 = 3;

/// Longest round.
const LIMIT: Duration = Duration::from_secs(90);

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("poison", suite.rounds(2, 15), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    round.slots = 8;
    let place = round.plan.index(21);
    let mut poison = None;
    for number in 0..21 {
        if number == place {
            let act = Act::Poison(round.plan.between(0, 300));
            poison = Some(round.enqueue(act, 1).await?);
        } else {
            let act = Act::Sleep(round.plan.between(50, 600));
            if round.plan.chance(25) {
                round.enqueue_errand(act).await?;
            } else {
                round.enqueue(act, 1).await?;
            }
        }
    }
    let poison = poison.expect("it was one of them");

    // Restart dead workers, as a supervisor does.
    let mut worker = round.worker()?;
    let mut deaths = 0;
    let deadline = Instant::now() + LIMIT;
    while live(&round).await? > 0 && Instant::now() < deadline {
        if worker.ended().is_some() {
            deaths += 1;
            worker = round.worker()?;
        }
        tokio::time::sleep(GLANCE).await;
    }
    // The attempt that finds the budget spent and discards the job is in the history too.
    let allowance =
        Allowance { crashes: DEATHS, errors: 1, discarded: HashSet::from([poison]), ..Allowance::default() };
    let mut outcome = Outcome { faults: 1, ..round.check(&allowance).await? };
    if deaths != DEATHS {
        outcome.over_budget(format!("the process died {deaths} times, {DEATHS} accounted for"));
    }
    // Jobs that crashed beside the poison are suspects, and suspects run one at a time.
    let harmed: i64 = sqlx::query_scalar(
        "-- poison::innocents
         SELECT count(*) FROM queue.jobs WHERE subject <> $1 AND (crashes > 1 OR errors > 0)",
    )
    .bind(poison)
    .fetch_one(&round.pool)
    .await?;
    if harmed > 0 {
        outcome.over_budget(format!("{harmed} innocents died with the poison more than once, or failed"));
    }
    Ok(outcome)
}

async fn live(round: &Round) -> Result<i64, FaultsError> {
    Ok(sqlx::query_scalar(
        "-- poison::live
         SELECT count(*) FROM queue.jobs WHERE state IN ('available', 'running')",
    )
    .fetch_one(&round.pool)
    .await?)
}
