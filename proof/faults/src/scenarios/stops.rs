//! A worker that is stopped past its rescue and then continued: promise 3. None of its writes may count, and
//! no final file may be its own.

use std::time::Duration;

use rustix::process::Signal;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::ledger::What;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("stops", suite.rounds(4, 30), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    round.slots = 6;
    let sleeper = round.workers(1).await?.remove(0);
    for _ in 0..round.slots / 2 {
        // Long windows between lease check and rename, and before the commit.
        let (before, between) = (round.plan.between(20, 300), round.plan.between(100, 500));
        round.enqueue(Act::Promote(before, between), 2).await?;
        // Done by the time the worker continues, so its end is the first write that it tries.
        let act = Act::Sleep(round.plan.between(900, 1500));
        round.enqueue(act.clone(), 2).await?;
        let act = if round.plan.chance(50) { act } else { Act::Promote(before, between) };
        round.enqueue_errand(act).await?;
    }
    let running = round.slots + round.slots / 2;
    round.until("the attempts run", Duration::from_secs(20), async || Ok(round.starts()? >= running)).await?;
    tokio::time::sleep(round.plan.millis(0, 900)).await;
    sleeper.signal(Signal::STOP)?;

    let mut rescuer = round.workers(1).await?.remove(0);
    round.settle(Duration::from_secs(60)).await;
    sleeper.signal(Signal::CONT)?;

    // The worker survives: once the rescuer is gone it claims the next job. By then its earlier attempts are
    // long over.
    rescuer.signal(Signal::TERM)?;
    rescuer.ended_within(Duration::from_secs(20)).await?;
    round.enqueue(Act::Promote(300, 300), 2).await?;
    round.settle(Duration::from_secs(60)).await;
    let last = round.chains.last().expect("just enqueued").first;
    let goes_on = round
        .ledger()?
        .iter()
        .any(|entry| entry.job == last && entry.pid == sleeper.pid() && entry.what == What::Start);

    let crashes_in_all = Some(i32::try_from(running).expect("small"));
    let allowance = Allowance { crashes: 1, crashes_in_all, ..Allowance::default() };
    let mut outcome = Outcome { faults: 1, ..round.check(&allowance).await? };
    if !goes_on {
        outcome.lost("the worker that slept takes no more jobs".to_owned());
    }
    Ok(outcome)
}
