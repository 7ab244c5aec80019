//! Counts per minute: each minute once, with any number of schedulers.

use std::time::Duration;

use bedel_queue::{Activity, Retention, activity, overview, run_scheduler};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Act, Bench, bench, eventually, step};

const MINUTE: Duration = Duration::from_secs(60);

/// Jobs that ended this many minutes before the current one began.
async fn ended(bench: &Bench, kind: &str, state: &str, minutes: i32, jobs: i32) {
    sqlx::query(
        "WITH made AS (
             INSERT INTO queue.jobs (kind, queue, args, state, attempt, lease, finalized_at, give_up_at, give_up_after,
                                     max_attempts, max_crashes)
             SELECT $1, 'lane', '{}', $2::queue.job_state, 1, gen_random_uuid(),
                    date_trunc('minute', now()) - make_interval(mins => $3, secs => -59.5), now(), '1 day', 1, 1
               FROM generate_series(1, $4)
             RETURNING id, finalized_at
         )
         INSERT INTO queue.failed_attempts (job_id, attempt, failed_at, class, message)
         SELECT id, 1, finalized_at, 'network', 'the line is down' FROM made WHERE $2 = 'discarded'",
    )
    .bind(kind)
    .bind(state)
    .bind(minutes)
    .bind(jobs)
    .execute(&bench.pool)
    .await
    .unwrap();
}

/// Nothing was counted for so long.
async fn uncounted_for(bench: &Bench, interval: &str) {
    sqlx::query("UPDATE queue.counted_minutes SET until = date_trunc('minute', now()) - $1::text::interval")
        .bind(interval)
        .execute(&bench.pool)
        .await
        .unwrap();
}

async fn last(bench: &Bench, minutes: u32, step: u32) -> Activity {
    let mut connection = bench.pool.acquire().await.unwrap();
    activity(&mut connection, MINUTE * minutes, MINUTE * step).await.unwrap()
}

/// Runs schedulers until the past minutes are counted.
async fn count(bench: &Bench, schedulers: usize) {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for _ in 0..schedulers {
        tasks.spawn(run_scheduler(bench.queue.clone(), Vec::new(), Retention::default(), stop.clone()));
    }
    let open = "SELECT count(*) FROM queue.counted_minutes WHERE until <= now() - interval '90 seconds'";
    eventually("the minutes are counted", async || bench.count(open).await == 0).await;
    stop.cancel();
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn schedulers_count_each_minute_once() {
    let bench = bench().await;
    uncounted_for(&bench, "30 minutes").await;
    ended(&bench, "step", "completed", 10, 7).await;
    ended(&bench, "step", "discarded", 10, 2).await;
    ended(&bench, "other", "cancelled", 10, 1).await;
    ended(&bench, "step", "completed", 9, 3).await;
    ended(&bench, "step", "completed", 40, 5).await; // before the first counted minute
    ended(&bench, "step", "completed", -1, 4).await; // the present minute or later
    count(&bench, 3).await;
    let found = last(&bench, 60, 1).await;
    let rows: Vec<_> = found
        .rows
        .iter()
        .map(|row| {
            (row.kind.as_str(), row.queue.as_str(), row.completed, row.discarded, row.cancelled, row.failed)
        })
        .collect();
    assert_eq!(
        rows,
        [("other", "lane", 0, 0, 1, 0), ("step", "lane", 7, 2, 0, 2), ("step", "lane", 3, 0, 0, 0)],
        "{found:?}"
    );
    assert_eq!(found.rows[2].at - found.rows[1].at, chrono::TimeDelta::minutes(1));
    assert_eq!(found.step_seconds, 60);
    let hourly = last(&bench, 120, 60).await;
    let completed: i64 = hourly.rows.iter().map(|row| row.completed).sum();
    assert_eq!((completed, hourly.step_seconds), (10, 3600), "{hourly:?}");
    count(&bench, 1).await;
    assert_eq!(last(&bench, 60, 1).await.rows, found.rows, "nothing is counted again");
}

#[tokio::test]
async fn parts_of_a_minute_add_up_and_a_mark_set_back_counts_nothing_twice() {
    let bench = bench().await;
    ended(&bench, "step", "completed", 10, 7).await;
    ended(&bench, "step", "discarded", 10, 2).await;
    sqlx::query(
        "UPDATE queue.jobs SET finalized_at = finalized_at - interval '40 seconds' WHERE state = 'discarded'",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    ended(&bench, "step", "discarded", 10, 1).await;
    for _ in 0..2 {
        uncounted_for(&bench, "10 minutes").await;
        for _ in 0..3 {
            sqlx::query(include_str!("../../sql/count_minute.sql"))
                .bind(20.0)
                .execute(&bench.pool)
                .await
                .unwrap();
        }
        let found = last(&bench, 60, 1).await;
        let rows: Vec<_> = found.rows.iter().map(|row| (row.completed, row.discarded, row.failed)).collect();
        assert_eq!(rows, [(7, 3, 3)], "{found:?}");
    }
}

#[tokio::test]
async fn after_an_outage_two_days_are_counted_and_older_counts_go() {
    let bench = bench().await;
    sqlx::raw_sql(
        "INSERT INTO queue.minutes (minute, kind, queue, completed, discarded, cancelled, failed)
         SELECT now() - interval '3 days' - n * interval '1 minute', 'step', 'lane', 1, 0, 0, 0
           FROM generate_series(1, 1500) AS n",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    uncounted_for(&bench, "10 days").await;
    ended(&bench, "step", "completed", 47 * 60, 2).await;
    ended(&bench, "step", "completed", 49 * 60, 4).await;
    let stop = CancellationToken::new();
    let run = run_scheduler(bench.queue.clone(), Vec::new(), Retention::default(), stop.clone());
    let scheduler = tokio::spawn(run);
    let counted = "SELECT COALESCE(sum(completed), 0)::bigint FROM queue.minutes";
    eventually("the first hours are counted and old rows deleted", async || bench.count(counted).await == 2)
        .await;
    stop.cancel();
    scheduler.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_overview_counts_what_waits_runs_and_fails() {
    let bench = bench().await;
    for _ in 0..3 {
        bench.enqueue(step(Act::Succeed)).await;
    }
    let failing = bench.enqueue(step(Act::Succeed).group_key("cdn.example")).await.id;
    let crashed = bench.enqueue(step(Act::Succeed)).await.id;
    for (id, counter) in [
        (
            failing,
            "UPDATE queue.jobs SET attempt = 1, errors = 1, run_at = now() + interval '1 hour' WHERE id = $1",
        ),
        (crashed, "UPDATE queue.jobs SET attempt = 1, crashes = 1 WHERE id = $1"),
    ] {
        sqlx::query(counter).bind(id).execute(&bench.pool).await.unwrap();
    }
    let mut connection = bench.pool.acquire().await.unwrap();
    let found = overview(&mut connection, &["none", "step"]).await.unwrap();
    let kinds: Vec<_> = found
        .kinds
        .iter()
        .map(|kind| (kind.kind.as_str(), kind.due, kind.scheduled, kind.running, kind.failing))
        .collect();
    assert_eq!(kinds, [("none", 0, 0, 0, 0), ("step", 4, 1, 0, 2)]);
    assert_eq!(found.queues.iter().map(|queue| queue.available).sum::<i64>(), 5);
}
