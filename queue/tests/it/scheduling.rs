//! Promise 13 as far as it goes here: each tick once, however many schedulers run.

use std::time::Duration;

use bedel_queue::{CatchUp, Retention, Schedule, ScheduleError, run_scheduler};
use tokio_util::sync::CancellationToken;

use crate::support::{Act, bench, eventually, step};

fn schedule(cron: &str, catch_up: CatchUp) -> Schedule {
    Schedule { name: "sweep", cron: cron.to_owned(), catch_up, job: step(Act::Succeed) }
}

/// As if the last tick had been this long ago.
async fn rewind(pool: &sqlx::PgPool, ago: Duration) {
    sqlx::query("UPDATE queue.schedules SET last_tick = now() - make_interval(secs => $1)")
        .bind(ago.as_secs_f64())
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_first_registration_starts_now_and_a_missed_tick_runs_once_with_five_schedulers() {
    let bench = bench().await;
    let stop = CancellationToken::new();
    let mut schedulers = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (queue, stop) = (bench.queue.clone(), stop.clone());
        schedulers.spawn(async move {
            let schedules = vec![schedule("* * * * *", CatchUp::Latest)];
            run_scheduler(queue, schedules, Retention::default(), stop).await
        });
    }
    eventually("registered", async || bench.count("SELECT count(*) FROM queue.schedules").await == 1).await;
    rewind(&bench.pool, Duration::from_secs(600)).await;
    eventually("the tick was taken", async || {
        bench
            .count("SELECT count(*) FROM queue.schedules WHERE last_tick > now() - interval '61 seconds'")
            .await
            == 1
    })
    .await;
    let jobs = bench.count("SELECT count(*) FROM queue.jobs").await;
    assert_eq!(jobs, 1, "ten minutes were missed, the latest tick is caught up, once");

    // The run is still live: the next tick is recorded as skipped, by one scheduler.
    rewind(&bench.pool, Duration::from_secs(600)).await;
    eventually("skipped", async || bench.count("SELECT skipped FROM queue.schedules").await == 1).await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 1);
    stop.cancel();
    for outcome in schedulers.join_all().await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn a_tick_missed_long_ago_is_passed_over_where_asked() {
    let bench = bench().await;
    let stop = CancellationToken::new();
    // Once a year: whenever this runs, the latest tick is long past, except within its own minute.
    let schedules = vec![schedule("0 0 1 1 *", CatchUp::None)];
    let scheduler =
        tokio::spawn(run_scheduler(bench.queue.clone(), schedules, Retention::default(), stop.clone()));
    eventually("registered", async || bench.count("SELECT count(*) FROM queue.schedules").await == 1).await;
    rewind(&bench.pool, Duration::from_secs(400 * 24 * 3600)).await;
    eventually("skipped", async || bench.count("SELECT skipped FROM queue.schedules").await == 1).await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 0);
    stop.cancel();
    scheduler.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cron_text_that_cannot_be_read_is_told_at_start() {
    let bench = bench().await;
    let schedules = vec![schedule("every day", CatchUp::None)];
    let outcome =
        run_scheduler(bench.queue.clone(), schedules, Retention::default(), CancellationToken::new()).await;
    let error = outcome.expect_err("no cron");
    assert!(matches!(&error, ScheduleError::Cron { name: "sweep", .. }), "{error}");
}
