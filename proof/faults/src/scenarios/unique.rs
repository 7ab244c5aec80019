//! One unique key from 50 transactions at the same time, some of them rolled back: promises 1 and 12.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bedel_queue::enqueue;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::checker::Chain;
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::{Act, Visit};
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

const TASKS: usize = 50;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("unique", suite.rounds(3, 20), 2, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let visit = Visit { item: Uuid::new_v4(), step: 1, steps: 1, act: Act::Sleep(1) };
    let mut tx = round.pool.begin().await?;
    round.add_item(&mut tx, visit.item).await?;
    tx.commit().await?;

    let pool = PgPoolOptions::new().max_connections(TASKS as u32).connect(&round.url).await?;
    let together = Arc::new(Barrier::new(TASKS));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..TASKS {
        let rolled_back = number > 0 && round.plan.chance(40);
        let pause = round.plan.millis(0, 3);
        let (pool, job, together) = (pool.clone(), visit.job(), Arc::clone(&together));
        tasks.spawn(async move {
            let begun = pool.begin().await;
            together.wait().await;
            let mut tx = begun?;
            let enqueued = enqueue(&mut tx, &job).await?;
            tokio::time::sleep(pause).await;
            if rolled_back {
                tx.rollback().await?;
                return Ok(None);
            }
            tx.commit().await?;
            Ok::<_, sqlx::Error>(Some(enqueued))
        });
    }
    let mut enqueued = Vec::new();
    while let Some(task) = tasks.join_next().await {
        let outcome = task.map_err(|error| FaultsError::Setup(error.to_string()))?;
        enqueued.extend(outcome?);
    }
    pool.close().await;

    let ids: HashSet<Uuid> = enqueued.iter().map(|enqueued| enqueued.id).collect();
    let created = enqueued.iter().filter(|enqueued| enqueued.created).count();
    let first = *ids.iter().next().expect("the first task commits");
    round.chains.push(Chain { item: visit.item, first, steps: 1, plain: false });
    let _worker = round.workers(1).await?;
    round.settle(Duration::from_secs(30)).await;
    let mut outcome = Outcome { faults: TASKS, ..round.check(&Allowance::default()).await? };
    if ids.len() != 1 || created != 1 {
        outcome.doubled(format!("{TASKS} transactions got {} jobs, {created} of them created", ids.len()));
    }
    Ok(outcome)
}
