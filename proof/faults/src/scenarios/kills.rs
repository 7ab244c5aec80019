//! kill -9 at random moments: promises 2 to 6.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::support::some_act;
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::report::Outcome;
use crate::rescue::rescues;
use crate::round::{Pace, Round};
use crate::suite::Suite;

/// Fewer than `max_crashes`, so no job may be discarded, however the kills fall.
const KILLS: usize = 2;

/// The promised rescue time at the defaults.
const PROMISED_MS: i64 = 15_000;

pub async fn quick(suite: &Suite) -> Outcome {
    suite
        .play("kills", suite.rounds(8, 100), 5, async |round, _| play(round, 2000, 600, i64::MAX).await)
        .await
}

pub async fn at_defaults(suite: &Suite) -> Outcome {
    suite
        .play("kills-default", suite.rounds(1, 10), 5, async |mut round, _| {
            round.pace = Pace::defaults();
            play(round, 4000, 2000, PROMISED_MS).await
        })
        .await
}

/// An old snapshot keeps the index entries of many jobs that ran and ended.
pub async fn beside_an_old_snapshot(suite: &Suite) -> Outcome {
    suite
        .play("snapshot", suite.rounds(1, 10), 2, async |round, _| {
            let mut reader = PgConnection::connect(&round.url).await?;
            sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut reader).await?;
            sqlx::raw_sql(ENDED).execute(&round.pool).await?;
            play(round, 2000, 600, 5000).await
        })
        .await
}

/// 200,000 plain jobs of many workers that started and ended.
const ENDED: &str = "
    INSERT INTO queue.jobs (kind, args, state, attempt, attempted_at, lease, worker_id, run_at, give_up_at, give_up_after,
                            max_attempts, max_crashes)
    SELECT 'errand', '{}', 'running', 1, now(), gen_random_uuid(), md5((n % 500)::text)::uuid, now(), now(), '1 day', 5, 3
      FROM generate_series(1, 200000) AS n;
    DELETE FROM queue.jobs WHERE args = '{}'";

/// Two of three workers are killed within `within` milliseconds, and replaced; jobs take up to `longest`.
async fn play(mut round: Round, within: u64, longest: u64, promised_ms: i64) -> Result<Outcome, FaultsError> {
    let pace = round.pace;
    round.slots = 3;
    let mut workers = round.workers(3).await?;
    for _ in 0..10 {
        let act = some_act(&mut round.plan, 50, longest);
        let steps = u32::try_from(round.plan.between(1, 3)).expect("small");
        round.enqueue(act, steps).await?;
    }
    for _ in 0..4 {
        let act = some_act(&mut round.plan, 50, longest);
        round.enqueue_errand(act).await?;
    }
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        tokio::time::sleep(round.plan.millis(10, within / 2)).await;
        let victim = round.plan.index(workers.len());
        kills.push(workers.swap_remove(victim).kill()?);
        tokio::time::sleep(round.plan.millis(0, 200)).await;
        workers.push(round.worker()?);
    }
    // Time for the rescue, the suspects one by one, and the rest of the chains.
    round.settle(pace.dead_after * 2 + Duration::from_secs(60)).await;
    let kills_done = i32::try_from(KILLS).expect("small");
    // Two kinds run.
    let slots = i32::try_from(round.slots).expect("small");
    let allowance = Allowance {
        crashes: kills_done,
        crashes_in_all: Some(kills_done * slots * 2),
        ..Allowance::default()
    };
    let outcome = round.check(&allowance).await?;
    let mut outcome = Outcome { faults: KILLS, rescues: rescues(&round, &kills).await?, ..outcome };
    for late in outcome.rescues.available.clone().into_iter().filter(|ms| *ms > promised_ms) {
        outcome.stuck(format!("a job was available again only {late} ms after the kill"));
    }
    Ok(outcome)
}
