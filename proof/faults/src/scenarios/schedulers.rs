//! Two to five schedulers that are killed and started again: promise 13. Each tick is one run, or one recorded skip.
//!
//! A trigger records every advance of `last_tick` in its transaction, to compare commits with enqueued jobs.
//! Because a minute is long, the suite sets a taken tick back by one; the trigger ignores that. The trigger
//! also sleeps, so that schedulers meet and kills hit the transaction.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::error::FaultsError;
use crate::process::Process;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

/// A tick each minute; the suite makes it due again and again.
const CRON: &str = "* * * * *";

/// Poll interval for taken ticks.
const LOOK: Duration = Duration::from_millis(150);

/// Kills per round.
const KILLS: usize = 8;

const TRIGGER: &str = "
CREATE TABLE faults.ticks (before timestamptz NOT NULL, tick timestamptz NOT NULL);
CREATE FUNCTION faults.note_tick() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') LIKE 'scheduler-%' THEN
        INSERT INTO faults.ticks VALUES (OLD.last_tick, NEW.last_tick);
        PERFORM pg_sleep(random() * 0.6);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER note_tick AFTER UPDATE OF last_tick ON queue.schedules
    FOR EACH ROW EXECUTE FUNCTION faults.note_tick();
";

pub async fn play(suite: &Suite) -> Outcome {
    suite
        .play("schedulers", suite.rounds(2, 12), 4, async |round, number| {
            one(round, 2 + number as usize % 4).await
        })
        .await
}

async fn one(mut round: Round, schedulers: usize) -> Result<Outcome, FaultsError> {
    sqlx::raw_sql(TRIGGER).execute(&round.pool).await?;
    let item = Uuid::new_v4();
    let mut connection = round.pool.acquire().await?;
    round.add_item(&mut connection, item).await?;
    drop(connection);
    let _worker = round.workers(1).await?;
    let mut running = Vec::<Process>::new();
    for _ in 0..schedulers {
        running.push(round.scheduler(CRON, item)?);
        let pause = round.plan.millis(0, 300);
        pass(&round, pause).await?;
    }
    for _ in 0..KILLS {
        let pause = round.plan.millis(100, 1500);
        pass(&round, pause).await?;
        let victim = round.plan.index(running.len());
        running.swap_remove(victim).kill()?;
        running.push(round.scheduler(CRON, item)?);
    }
    let pause = round.plan.millis(1500, 2500);
    pass(&round, pause).await?;
    for mut scheduler in running {
        scheduler.kill()?;
    }
    round.settle(Duration::from_secs(30)).await;
    read(&round).await
}

/// For this long, makes the tick due again whenever it was taken.
async fn pass(round: &Round, time: Duration) -> Result<(), FaultsError> {
    let over = Instant::now() + time;
    while Instant::now() < over {
        sqlx::query(
            "-- schedulers::pass
             UPDATE queue.schedules SET last_tick = last_tick - interval '1 minute'
              WHERE last_tick > now() - interval '1 minute'",
        )
        .execute(&round.pool)
        .await?;
        tokio::time::sleep(LOOK.min(time)).await;
    }
    Ok(())
}

#[derive(Debug, sqlx::FromRow)]
struct Read {
    advances: i64,
    backwards: i64,
    jobs: i64,
    unfinished: i64,
    skipped: i64,
    commits: i64,
}

async fn read(round: &Round) -> Result<Outcome, FaultsError> {
    let read: Read = sqlx::query_as(
        "-- schedulers::read
         SELECT (SELECT count(*) FROM faults.ticks) AS advances,
                (SELECT count(*) FROM faults.ticks WHERE tick <= before) AS backwards,
                (SELECT count(*) FROM queue.jobs) AS jobs,
                (SELECT count(*) FROM queue.jobs WHERE state <> 'completed') AS unfinished,
                (SELECT coalesce(sum(skipped), 0)::bigint FROM queue.schedules) AS skipped,
                (SELECT count(*) FROM faults.commits) AS commits",
    )
    .fetch_one(&round.pool)
    .await?;
    let mut outcome = Outcome {
        rounds: 1,
        faults: KILLS,
        jobs: usize::try_from(read.jobs).unwrap_or(0),
        ..Outcome::default()
    };
    if read.advances < 3 {
        outcome.lost(format!("the schedule hardly moved: {read:?}"));
    }
    if read.backwards > 0 || read.jobs + read.skipped > read.advances {
        outcome.doubled(format!("a tick ran twice: {read:?}"));
    }
    if read.jobs + read.skipped < read.advances {
        outcome.lost(format!("a tick was taken and not run: {read:?}"));
    }
    if read.unfinished > 0 {
        outcome.stuck(format!("{read:?}"));
    }
    if read.commits != read.jobs {
        outcome.doubled(format!("runs and commits differ: {read:?}"));
    }
    Ok(outcome)
}
