//! Enqueue, cancel and retry in plain SQL, through psql: literals without casts, as any language sends them.

use std::process::Command;

use bedel_queue::{NewJob, Retried, retry};
use uuid::Uuid;

use crate::support::{Act, Bench, bench, options, step};

/// The rows that psql prints for this script, or its error.
pub fn psql(bench: &Bench, sql: &str) -> Result<Vec<String>, String> {
    let output = Command::new("psql")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", &bench.url, "-c", sql])
        .output()
        .expect("psql is installed");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn one<T: std::str::FromStr<Err: std::fmt::Debug>>(bench: &Bench, sql: &str) -> T {
    psql(bench, sql).unwrap().concat().parse().unwrap()
}

#[tokio::test]
async fn a_call_needs_no_casts() {
    let bench = bench().await;
    for call in [
        "'step', '{}'",
        "'step', json_build_object('a', 1)",
        "'step', jsonb_build_object('a', 1)",
        "'step', '{}'::text",
        "kind => 'step', args => '{}', priority => 1",
        "'step', '{}', priority => 1::smallint, max_attempts => 3, max_crashes => 4::bigint",
        "'step', '{}', subject => '00000000-0000-4000-8000-000000000001', unique_key => 'k', group_key => 'g'",
        "'step', '{}', queue => 'mine', delay => '5 minutes', give_up_after => '1 hour'",
        "'step', '{}', run_at => '2030-01-02 03:04Z'",
        "'step', '{}', run_at => current_date",
        "'step'::varchar, to_json('x'::text), run_at => now() + interval '1 day'",
    ] {
        let rows = psql(&bench, &format!("SELECT id, created FROM queue.enqueue({call})"));
        assert!(rows.as_ref().is_ok_and(|rows| rows.len() == 1), "{call}: {rows:?}");
    }
    let prepared =
        "PREPARE p AS SELECT id FROM queue.enqueue($1, $2, priority => $3); EXECUTE p('step', '{}', 3)";
    psql(&bench, prepared).unwrap();
    let refused = psql(&bench, "SELECT id FROM queue.enqueue('step', '{}', priority => 5)").unwrap_err();
    assert!(refused.contains("jobs_priority_range"), "{refused}");
}

#[tokio::test]
async fn the_start_is_run_at_and_the_delay_and_the_end_follows_it() {
    let bench = bench().await;
    psql(
        &bench,
        "SELECT FROM queue.enqueue('step', '{}', run_at => '2030-01-01Z', delay => '1 day', give_up_after => '2 days')",
    )
    .unwrap();
    let times = "SELECT run_at = '2030-01-02Z' AND give_up_at = '2030-01-04Z' FROM queue.jobs";
    assert_eq!(one::<String>(&bench, times), "t");
}

#[tokio::test]
async fn many_jobs_are_enqueued_in_order_with_the_defaults_of_one() {
    let bench = bench().await;
    let rows = psql(
        &bench,
        r#"SELECT place, created FROM queue.enqueue_many('[
             {"kind": "step", "args": {"act": "Succeed"}},
             {"kind": "step", "args": {"act": "Succeed"}, "unique_key": "z", "priority": 1, "delay": "1 hour"},
             {"kind": "step", "args": {}, "unique_key": "a", "queue": "mine", "run_at": "2030-01-01Z", "max_attempts": 1},
             {"kind": "step", "args": {}, "unique_key": "z"}]')"#,
    );
    assert_eq!(rows.unwrap(), ["1|t", "2|t", "3|t", "4|f"]);
    psql(
        &bench,
        "SELECT FROM queue.enqueue_many(json_build_array(json_build_object('kind', 'j', 'args', 1)))",
    )
    .unwrap();
    psql(
        &bench,
        "SELECT FROM queue.enqueue_many(jsonb_build_array()); SELECT FROM queue.enqueue('one', '{}')",
    )
    .unwrap();
    let alike: i64 = one(
        &bench,
        "SELECT count(DISTINCT (queue, priority, max_attempts, max_crashes, give_up_after, subject, group_key, unique_key))
           FROM queue.jobs WHERE kind IN ('j', 'one')",
    );
    assert_eq!(alike, 1, "the defaults agree");
    let refused =
        psql(&bench, r#"SELECT queue.enqueue_many('[{"kind": "x", "args": {}, "prio": 1}]')"#).unwrap_err();
    assert!(refused.contains(r#"unknown field "prio""#), "{refused}");
    psql(&bench, r#"SELECT queue.enqueue_many('[{"kind": "x", "args": {}}, {"kind": "x"}]')"#).unwrap_err();
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE kind = 'x'").await, 0, "all or none");
}

#[tokio::test]
async fn a_cancel_in_sql_stops_a_running_attempt() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Hang)).await.id;
    let worker = bench.worker(options(1));
    bench.until(id, "running").await;
    let cancel = format!("SELECT queue.cancel('{id}', 'not needed')");
    let rows = psql(&bench, &format!("{cancel}; NOTIFY bedel_queue, 'cancelled'; {cancel}"));
    assert_eq!(rows.unwrap(), ["t", "f"]);
    // The only slot is free again.
    let second = bench.enqueue(step(Act::Succeed)).await.id;
    bench.until(second, "completed").await;
    worker.stop().await;
    let reason: String =
        one(&bench, &format!("SELECT state || ': ' || reason FROM queue.jobs WHERE id = '{id}'"));
    assert_eq!(reason, "cancelled: not needed");
    assert_eq!(psql(&bench, "SELECT queue.cancel(gen_random_uuid())").unwrap(), ["f"]);
}

#[tokio::test]
async fn a_retry_in_sql_answers_as_the_one_in_rust() {
    let bench = bench().await;
    let enqueue = async |job: NewJob| bench.enqueue(job).await.id;
    let waiting = enqueue(step(Act::Succeed).delay(std::time::Duration::from_secs(3600))).await;
    let cancelled = enqueue(step(Act::Succeed)).await;
    let replaced = enqueue(step(Act::Succeed).unique_key("k")).await;
    for id in [cancelled, replaced] {
        psql(&bench, &format!("SELECT queue.cancel('{id}')")).unwrap();
    }
    enqueue(step(Act::Succeed).unique_key("k")).await;
    let endless = "UPDATE queue.jobs SET give_up_after = '300000 years', errors = 1, attempt = 1 WHERE id = ";
    psql(&bench, &format!("{endless} '{cancelled}'")).unwrap();
    for (id, word, answer) in [
        (waiting, "now", Retried::Now),
        (cancelled, "now", Retried::Now),
        (replaced, "refused", Retried::Refused),
        (Uuid::nil(), "not_found", Retried::NotFound),
    ] {
        assert_eq!(psql(&bench, &format!("SELECT queue.retry('{id}')")).unwrap(), [word]);
        assert_eq!(retry(&mut bench.pool.acquire().await.unwrap(), id).await.unwrap(), answer);
    }
    assert_eq!(bench.counters(cancelled).await, (1, 0, 0), "fresh budgets");
    let due =
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'available' AND run_at <= now()").await;
    assert_eq!(due, 3);
}
