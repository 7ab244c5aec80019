//! Jobs that kill their process beside jobs that do not, on one worker: promise 6.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::process::GLANCE;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// `max_crashes` of the kind.
const CRASHES: i32 = 3;

/// The process dies this often: the first crash is only remembered.
const DEATHS: i32 = CRASHES + 1;

/// Longest round.
const LIMIT: Duration = Duration::from_secs(180);

/// Poison of a round with a long innocent.
const MANY: usize = 10;

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

    let deaths = supervise(&mut round).await?;
    // The attempt that finds the budget spent and discards the job is in the history too.
    let allowance =
        Allowance { crashes: CRASHES, errors: 1, discarded: HashSet::from([poison]), ..Allowance::default() };
    let mut outcome = Outcome { faults: 1, ..round.check(&allowance).await? };
    if deaths != DEATHS {
        outcome.over_budget(format!("the process died {deaths} times, {DEATHS} accounted for"));
    }
    // Jobs that crashed twice beside the poison are suspects, and suspects run alone.
    let harmed: i64 = sqlx::query_scalar(
        "-- poison::innocents
         SELECT count(*) FROM queue.jobs WHERE subject <> $1 AND (crashes > 1 OR errors > 0)",
    )
    .bind(poison)
    .fetch_one(&round.pool)
    .await?;
    if harmed > 0 {
        outcome.over_budget(format!("{harmed} innocents died with the poison more than twice, or failed"));
    }
    Ok(outcome)
}

/// A job of five seconds beside ten that kill their process within half a second: it takes part in many deaths.
pub async fn innocents(suite: &Suite) -> Outcome {
    suite
        .play("innocents", suite.rounds(1, 10), 5, async |mut round, _| {
            let innocent = round.enqueue(Act::Sleep(5000), 1).await?;
            let mut discarded = HashSet::new();
            for _ in 0..MANY {
                let act = Act::Poison(round.plan.between(0, 500));
                discarded.insert(round.enqueue(act, 1).await?);
            }
            supervise(&mut round).await?;
            let allowance = Allowance { crashes: CRASHES, errors: 1, discarded, ..Allowance::default() };
            let mut outcome = Outcome { faults: MANY, ..round.check(&allowance).await? };
            let crashes: i32 =
                sqlx::query_scalar("-- poison::innocent\nSELECT crashes FROM queue.jobs WHERE subject = $1")
                    .bind(innocent)
                    .fetch_one(&round.pool)
                    .await?;
            if crashes > 1 {
                outcome.over_budget(format!("an innocent spent {crashes} crashes"));
            }
            Ok(outcome)
        })
        .await
}

/// Restarts dead workers, as a supervisor does, until no job is live. Returns how often they died.
async fn supervise(round: &mut Round) -> Result<i32, FaultsError> {
    let mut worker = round.worker()?;
    let mut deaths = 0;
    let deadline = Instant::now() + LIMIT;
    while live(round).await? > 0 && Instant::now() < deadline {
        if worker.ended().is_some() {
            deaths += 1;
            worker = round.worker()?;
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(deaths)
}

async fn live(round: &Round) -> Result<i64, FaultsError> {
    Ok(sqlx::query_scalar(
        "-- poison::live
         SELECT count(*) FROM queue.jobs WHERE state IN ('available', 'running')",
    )
    .fetch_one(&round.pool)
    .await?)
}
