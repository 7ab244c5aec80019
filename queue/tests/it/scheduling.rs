//! Promise 13: each tick once, however many schedulers run and whatever the clock does.

use std::time::Duration;

use bedel_queue::{CatchUp, NewJob, Retention, Schedule, ScheduleError, run_scheduler};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Act, Bench, bench, eventually, options, step};

/// Once a year: whenever a test runs, no tick comes by itself, but for one minute.
const YEARLY: &str = "0 0 1 1 *";

/// Schedulers that look at the same schedule, and stop together.
struct Schedulers {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), ScheduleError>>,
}

impl Schedulers {
    fn start(bench: &Bench, count: usize, schedule: &Schedule) -> Self {
        let mut this = Self { stop: CancellationToken::new(), tasks: JoinSet::new() };
        for _ in 0..count {
            let (queue, schedule) = (bench.queue.clone(), schedule.clone());
            this.tasks.spawn(run_scheduler(queue, vec![schedule], Retention::default(), this.stop.clone()));
        }
        this
    }

    async fn stop(self) {
        self.stop.cancel();
        for outcome in self.tasks.join_all().await {
            outcome.unwrap();
        }
    }
}

/// The only schedule: its last tick, how many were skipped, and its text.
async fn row(bench: &Bench) -> Option<(chrono::DateTime<chrono::Utc>, i64, String)> {
    sqlx::query_as("SELECT last_tick, skipped, cron FROM queue.schedules")
        .fetch_optional(&bench.pool)
        .await
        .unwrap()
}

async fn registered(bench: &Bench) {
    eventually("registered", async || row(bench).await.is_some()).await;
}

const JOBS: &str = "SELECT count(*) FROM queue.jobs";

/// Gives every scheduler the time for two more looks, a second each: to see that nothing happens.
async fn two_looks_later(bench: &Bench) {
    let now: f64 = sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    eventually("two looks later", async || {
        sqlx::query_scalar::<_, f64>("SELECT extract(epoch FROM clock_timestamp())::float8")
            .fetch_one(&bench.pool)
            .await
            .unwrap()
            > now + 2.2
    })
    .await;
}

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
    let mut schedulers = JoinSet::new();
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
async fn a_first_registration_catches_nothing_up() {
    let bench = bench().await;
    let stop = CancellationToken::new();
    // Once a year: whenever this runs, there was a tick before it.
    let schedules = vec![schedule("0 0 1 1 *", CatchUp::Latest)];
    let scheduler =
        tokio::spawn(run_scheduler(bench.queue.clone(), schedules, Retention::default(), stop.clone()));
    registered(&bench).await;
    two_looks_later(&bench).await;
    assert_eq!((bench.count(JOBS).await, row(&bench).await.unwrap().1), (0, 0));
    stop.cancel();
    scheduler.await.unwrap().unwrap();
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
async fn what_cannot_be_scheduled_is_told_at_start() {
    let bench = bench().await;
    // One that starts after all ends at once.
    let stopped = CancellationToken::new();
    stopped.cancel();
    let start = async |schedules| {
        run_scheduler(bench.queue.clone(), schedules, Retention::default(), stopped.clone()).await
    };
    // Six fields would mean seconds, and a scheduler looks once a second; the 30th of February never comes.
    for text in ["every day", "*/10 * * * * *", "0 0 30 2 *"] {
        let error = start(vec![schedule(text, CatchUp::None)]).await.expect_err(text);
        assert!(matches!(&error, ScheduleError::Cron { name: "sweep", .. }), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let twice = vec![schedule(YEARLY, CatchUp::None), schedule("@daily", CatchUp::None)];
    let error = start(twice).await.expect_err("one name twice");
    assert!(matches!(error, ScheduleError::Duplicate("sweep")), "{error}");
    assert_eq!(bench.count("SELECT count(*) FROM queue.schedules").await, 0, "nothing was begun");
}

#[tokio::test]
async fn five_ticks_with_three_schedulers_and_a_worker_are_five_runs() {
    let bench = bench().await;
    let schedulers = Schedulers::start(&bench, 3, &schedule(YEARLY, CatchUp::Latest));
    let worker = bench.worker(options(2));
    registered(&bench).await;
    for tick in 1..=5 {
        rewind(&bench.pool, Duration::from_secs(400 * 24 * 3600)).await;
        eventually("the tick's run", async || bench.effects("commit").await == tick).await;
        assert_eq!(bench.count(JOBS).await, tick);
    }
    two_looks_later(&bench).await;
    assert_eq!(bench.count(JOBS).await, 5);
    assert_eq!(row(&bench).await.unwrap().1, 0, "none was skipped");
    schedulers.stop().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_run_started_by_hand_counts_as_live() {
    let bench = bench().await;
    let job = || -> NewJob { step(Act::Succeed).unique_key("sweeping") };
    let by_hand = bench.enqueue(job()).await;
    let schedulers =
        Schedulers::start(&bench, 2, &Schedule { job: job(), ..schedule(YEARLY, CatchUp::Latest) });
    registered(&bench).await;
    rewind(&bench.pool, Duration::from_secs(400 * 24 * 3600)).await;
    eventually("skipped", async || row(&bench).await.unwrap().1 == 1).await;
    assert_eq!(bench.count(JOBS).await, 1, "the one that was started by hand");
    // Once it has ended the next tick runs.
    let worker = bench.worker(options(1));
    bench.until(by_hand.id, "completed").await;
    rewind(&bench.pool, Duration::from_secs(400 * 24 * 3600)).await;
    eventually("the tick's run", async || bench.effects("commit").await == 2).await;
    assert_eq!(row(&bench).await.unwrap().1, 1);
    schedulers.stop().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_clock_set_back_repeats_nothing_and_silences_no_schedule() {
    let bench = bench().await;
    let schedulers = Schedulers::start(&bench, 2, &schedule(YEARLY, CatchUp::Latest));
    registered(&bench).await;
    // To a clock that was set back, the last tick lies ahead: 30 minutes, then a year.
    sqlx::query("UPDATE queue.schedules SET last_tick = now() + interval '30 minutes'")
        .execute(&bench.pool)
        .await
        .unwrap();
    let ahead = row(&bench).await.unwrap().0;
    two_looks_later(&bench).await;
    assert_eq!(row(&bench).await.unwrap().0, ahead, "what was ticked is not ticked again");
    sqlx::query("UPDATE queue.schedules SET last_tick = now() + interval '1 year'")
        .execute(&bench.pool)
        .await
        .unwrap();
    let now = "SELECT count(*) FROM queue.schedules WHERE last_tick <= now()";
    eventually("it starts now", async || bench.count(now).await == 1).await;
    assert_eq!(bench.count(JOBS).await, 0, "nothing is caught up");
    assert_eq!(row(&bench).await.unwrap().1, 0);
    rewind(&bench.pool, Duration::from_secs(400 * 24 * 3600)).await;
    eventually("ticks again", async || bench.count(JOBS).await == 1).await;
    schedulers.stop().await;
}

#[tokio::test]
async fn a_changed_cron_text_keeps_the_last_tick_and_old_and_new_schedulers_share_it() {
    let bench = bench().await;
    let old = Schedulers::start(&bench, 1, &schedule(YEARLY, CatchUp::Latest));
    registered(&bench).await;
    let last = row(&bench).await.unwrap().0;
    // No tick of the new text lies between the last look and now: nothing runs because of the change.
    let new = Schedulers::start(&bench, 1, &schedule("0 0 1 7 *", CatchUp::Latest));
    eventually("the new text", async || row(&bench).await.unwrap().2 == "0 0 1 7 *").await;
    eventually("the old text again, from the old one", async || row(&bench).await.unwrap().2 == YEARLY).await;
    assert_eq!(row(&bench).await.unwrap().0, last);
    assert_eq!(bench.count(JOBS).await, 0);
    // Both texts had a tick in the last 400 days. Each is taken at most once, and the later of them for certain.
    let worker = bench.worker(options(1));
    rewind(&bench.pool, Duration::from_secs(400 * 24 * 3600)).await;
    two_looks_later(&bench).await;
    let latest: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(
        "SELECT max(tick) FROM (SELECT date_trunc('year', now(), 'UTC') + n * interval '6 months' AS tick
                                  FROM generate_series(-2, 1) AS n) AS t
          WHERE tick <= now()",
    )
    .fetch_one(&bench.pool)
    .await
    .unwrap();
    let (taken, skipped, _) = row(&bench).await.unwrap();
    assert!((taken - latest).abs() < chrono::TimeDelta::days(2), "{taken} instead of {latest}");
    let jobs = bench.count(JOBS).await;
    assert!((1..=2).contains(&(jobs + skipped)), "{jobs} runs, {skipped} skipped, for two ticks");
    old.stop().await;
    new.stop().await;
    worker.stop().await;
}
