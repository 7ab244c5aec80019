//! Lost answers to statements that the server executed: promises 2 and 4.

use std::time::Duration;

use bedel_test_support::{Moment, Statement};

use super::support::{some_act, until_held};
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// Longest wait for the statement.
const REACHED: Duration = Duration::from_secs(20);

/// Most matching statements that pass before the fault.
const SKIPPED: u64 = 3;

/// The claim's answer is lost, or comes after the worker's timeout. The beat releases the rows; no budget is
/// spent.
pub async fn claim(suite: &Suite) -> Outcome {
    let rounds = suite.rounds(4, 30);
    suite
        .play("claim-answer", rounds, 5, async |round, number| {
            // A claim times out after 5 s.
            let late = if number % 4 == 3 { Duration::from_secs(6) } else { Duration::ZERO };
            one(round, "claim", Moment::AfterRows, late, false).await
        })
        .await
}

/// The heartbeat's answer is lost or late, while another worker watches.
pub async fn beat(suite: &Suite) -> Outcome {
    let rounds = suite.rounds(4, 30);
    suite
        .play("beat-answer", rounds, 5, async |round, number| {
            let late = Duration::from_millis(if number % 2 == 1 { 500 } else { 0 });
            one(round, "heartbeat::beat", Moment::After, late, true).await
        })
        .await
}

/// COMMIT never reaches the server, or its answer is lost or late. The worker reads the outcome from the row;
/// there is one successor.
pub async fn commit(suite: &Suite) -> Outcome {
    let rounds = suite.rounds(6, 45);
    suite
        .play("commit-answer", rounds, 5, async |round, number| {
            let (moment, late) = sorts(number);
            one(round, "COMMIT", moment, late, true).await
        })
        .await
}

/// The same for a completion: within a commit, which is rolled back and retried, or of plain jobs.
pub async fn complete(suite: &Suite) -> Outcome {
    let rounds = suite.rounds(6, 45);
    suite
        .play("complete-answer", rounds, 5, async |round, number| {
            let (moment, late) = sorts(number);
            one(round, "fence::complete", moment, late, true).await
        })
        .await
}

fn sorts(number: u32) -> (Moment, Duration) {
    match number % 3 {
        0 => (Moment::Before, Duration::ZERO),
        1 => (Moment::After, Duration::ZERO),
        _ => (Moment::After, Duration::from_millis(1500)),
    }
}

async fn one(
    mut round: Round,
    statement: &'static str,
    moment: Moment,
    late: Duration,
    watched: bool,
) -> Result<Outcome, FaultsError> {
    let proxy = round.proxy()?;
    let url = proxy.url(&round.url);
    // Only the proxied worker gets jobs; the watcher has no slots.
    let mut worker = round.worker_at(&url)?;
    round.registered(&worker).await?;
    let _watcher = if watched {
        let slots = std::mem::replace(&mut round.slots, 0);
        let watcher = round.workers(1).await?;
        round.slots = slots;
        Some(watcher)
    } else {
        None
    };
    let skip = usize::try_from(round.plan.between(0, SKIPPED)).expect("small");
    let mut hold = proxy.hold_later(Statement::Named(statement), moment, skip);
    for _ in 0..3 {
        let act = some_act(&mut round.plan, 20, 200);
        round.enqueue(act.clone(), 3).await?;
        round.enqueue_errand(act).await?;
    }
    until_held(&mut hold, REACHED).await?;
    if late.is_zero() {
        hold.cut();
    } else {
        tokio::time::sleep(late).await;
        hold.release();
    }
    round.settle(Duration::from_secs(60)).await;
    let allowance = Allowance { starts: Some(1), ..Allowance::default() };
    let mut outcome = Outcome { faults: 1, ..round.check(&allowance).await? };
    if let Some(status) = worker.ended() {
        outcome.lost(format!("the worker ended with {status}"));
    }
    Ok(outcome)
}
