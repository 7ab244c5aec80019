//! How waiting for a group ends, what is kept of it, and what it costs the claim.

use std::time::Duration;

use bedel_queue::{Retention, drain, prune};

use crate::caller::{Answer, Hosts, breaker, call, caller_options, callers, open, ping};
use crate::flat::{FEW, empty, filled, pages};
use crate::sql::statements;
use crate::support::{Bench, bench, eventually};

const DOWN: &str = "down.example";

async fn execute(bench: &Bench, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&bench.pool).await.unwrap();
}

#[tokio::test]
async fn all_waiting_ends_at_give_up_at_without_another_attempt() {
    let (bench, hosts) = (bench().await, Hosts::default());
    open(&bench.pool, DOWN, 3600.0).await;
    for _ in 0..3 {
        bench.enqueue(call(DOWN).give_up_after(Duration::from_millis(300))).await;
    }
    let patient = bench.enqueue(call(DOWN)).await.id;
    let suspect = bench.enqueue(ping(DOWN).give_up_after(Duration::from_millis(300))).await.id;
    sqlx::query("UPDATE queue.jobs SET crashes = 1, attempt = 1 WHERE id = $1")
        .bind(suspect)
        .execute(&bench.pool)
        .await
        .unwrap();
    let worker = bench.worker_of(callers(&hosts), caller_options(1));
    bench.until(suspect, "discarded").await;
    eventually("their hooks ran", async || bench.effects("ended:group-down").await == 3).await;
    worker.stop().await;
    assert_eq!(hosts.asked(DOWN), 0, "they are not run");
    assert_eq!(bench.state(patient).await, "available");
    assert_eq!(bench.count("SELECT sum(errors) FROM queue.jobs").await, 0, "and spend nothing");
    let told = "SELECT count(*) FROM queue.failed_attempts
                 WHERE class = 'group-down' AND message LIKE 'down.example %: nobody answers'";
    assert_eq!(bench.count(told).await, 4);
}

#[tokio::test]
async fn a_job_whose_time_is_over_is_no_probe_and_keeps_none_from_going() {
    let (bench, hosts) = (bench().await, Hosts::default());
    open(&bench.pool, DOWN, -1.0).await;
    for _ in 0..5 {
        bench.enqueue(call(DOWN)).await;
    }
    execute(&bench, "UPDATE queue.jobs SET give_up_at = now()").await;
    let patient = bench.enqueue(call(DOWN)).await.id;
    let worker = bench.worker_of(callers(&hosts), caller_options(2));
    bench.until(patient, "completed").await;
    worker.stop().await;
    assert_eq!(hosts.asked(DOWN), 1, "the patient one is the probe");
    assert_eq!(bench.effects("ended:group-down").await, 5);
    assert_eq!(breaker(&bench, DOWN).await, None);
}

#[tokio::test]
async fn a_delay_that_the_host_named_is_kept_while_its_breaker_is_open() {
    let (bench, hosts) = (bench().await, Hosts::default());
    hosts.answer(DOWN, Answer::Unavailable);
    open(&bench.pool, DOWN, -1.0).await;
    let id = bench.enqueue(call(DOWN)).await.id;
    let worker = bench.worker_of(callers(&hosts), caller_options(1));
    eventually("a probe failed", async || breaker(&bench, DOWN).await.is_some_and(|b| b.probes == 1)).await;
    worker.stop().await;
    assert_eq!(bench.counters(id).await, (1, 0, 0));
    let later = "SELECT count(*) FROM queue.jobs WHERE run_at > now() + interval '30 s'";
    assert_eq!(bench.count(later).await, 1);
}

#[tokio::test]
async fn failures_far_apart_are_not_counted_together() {
    let (bench, hosts) = (bench().await, Hosts::default());
    hosts.answer("seldom.example", Answer::Unavailable);
    hosts.answer("often.example", Answer::Unavailable);
    execute(
        &bench,
        "INSERT INTO queue.breakers (group_key, failures, failed_at, class, message)
         VALUES ('seldom.example', 2, now() - interval '11 minutes', 'network', 'nobody answers'),
                ('often.example', 2, now() - interval '9 minutes', 'network', 'nobody answers')",
    )
    .await;
    assert_eq!(breaker(&bench, "seldom.example").await, None, "it counts no more, so it is not shown");
    for host in ["seldom.example", "often.example"] {
        bench.enqueue(call(host)).await;
    }
    drain(bench.queue.clone(), callers(&hosts), caller_options(1)).await.unwrap();
    let (seldom, often) = (breaker(&bench, "seldom.example").await, breaker(&bench, "often.example").await);
    assert_eq!(seldom.map(|b| (b.failures, b.opened_at.is_some())), Some((1, false)));
    assert_eq!(often.map(|b| (b.failures, b.opened_at.is_some())), Some((3, true)));
}

#[tokio::test]
async fn a_drain_leaves_what_waits_for_its_group_and_ends_what_waits_no_longer() {
    let (bench, hosts) = (bench().await, Hosts::default());
    open(&bench.pool, DOWN, 3600.0).await;
    let over = bench.enqueue(ping(DOWN)).await.id;
    execute(&bench, "UPDATE queue.jobs SET give_up_at = now()").await;
    let (waits, suspect) = (bench.enqueue(call(DOWN)).await.id, bench.enqueue(ping(DOWN)).await.id);
    sqlx::query("UPDATE queue.jobs SET crashes = 1, attempt = 1 WHERE id = $1")
        .bind(suspect)
        .execute(&bench.pool)
        .await
        .unwrap();
    let drained = drain(bench.queue.clone(), callers(&hosts), caller_options(1));
    tokio::time::timeout(Duration::from_secs(20), drained).await.expect("the drain ends").unwrap();
    assert_eq!(bench.state(over).await, "discarded");
    assert_eq!(bench.state(waits).await, "available");
    // Once a probe is due, a drain waits for it and for what it sets free.
    execute(&bench, "UPDATE queue.breakers SET probe_at = now()").await;
    drain(bench.queue.clone(), callers(&hosts), caller_options(1)).await.unwrap();
    assert_eq!(bench.state(waits).await, "completed");
    assert_eq!(bench.state(suspect).await, "completed");
}

#[tokio::test]
async fn prune_forgets_groups_that_nobody_asked_for_a_day() {
    let bench = bench().await;
    for group in ["old.example", "young.example", "waiting.example", "running.example"] {
        open(&bench.pool, group, 60.0).await;
    }
    execute(
        &bench,
        "UPDATE queue.breakers SET failed_at = now() - interval '25 hours' WHERE group_key <> 'young.example'",
    )
    .await;
    bench.enqueue(call("waiting.example")).await;
    let running = bench.enqueue(call("running.example")).await.id;
    sqlx::query(
        "UPDATE queue.jobs SET state = 'running', lease = gen_random_uuid(), worker_id = gen_random_uuid(),
                attempt = 1, attempted_at = now() WHERE id = $1",
    )
    .bind(running)
    .execute(&bench.pool)
    .await
    .unwrap();
    assert_eq!(
        prune(&bench.pool, &Retention::default()).await.unwrap(),
        0,
        "jobs are counted, and nothing else"
    );
    let left: Vec<String> =
        sqlx::query_scalar("SELECT group_key::text FROM queue.breakers ORDER BY group_key")
            .fetch_all(&bench.pool)
            .await
            .unwrap();
    assert_eq!(left, ["running.example", "waiting.example", "young.example"]);
}

/// 5,000 groups that are down, none of which has a job of the kind that is claimed.
const TROUBLE: &str = "
    INSERT INTO queue.breakers (group_key, failures, failed_at, opened_at, probe_at, class, message)
    SELECT CASE n WHEN 1 THEN 'step' ELSE 'host-' || n END, 5, now(), now(), now() + interval '1 hour', 'network', 'nobody answers'
      FROM generate_series(1, 5000) AS n;";

/// 20,000 jobs that wait for one of them.
const CROWD: &str = "
    INSERT INTO queue.jobs (kind, args, group_key, give_up_at, give_up_after, max_attempts, max_crashes)
    SELECT 'step', '{\"act\": \"Succeed\"}', 'step', now() + '1 day', '1 day', 5, 3 FROM generate_series(1, 20000);";

/// The pages that a claim touches on a connection set up as the claims' own, with what it asks of breakers before.
async fn pages_of_a_claim(bench: &Bench) -> (i64, String) {
    let mut connection = bench.pool.acquire().await.unwrap();
    let steady = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
                  SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";
    sqlx::raw_sql(steady).execute(&mut *connection).await.unwrap();
    let (mut touched, mut plans, mut found) = (0, String::new(), 0);
    for name in ["-- claim\n", "-- open_groups::find\n", "-- claim_overdue\n"] {
        for (_, statement) in statements().into_iter().filter(|(_, sql)| sql.starts_with(name)) {
            // The first time a session runs a statement it reads catalogues too.
            pages(&mut connection, &statement).await;
            let (more, plan) = pages(&mut connection, &statement).await;
            touched += more;
            found += 1;
            plans.push_str(&plan);
        }
    }
    assert_eq!(found, 3);
    (touched, plans)
}

#[tokio::test]
async fn groups_in_trouble_cost_claims_next_to_nothing_and_neither_does_a_crowd_that_waits_for_one() {
    let (calm, _) = pages_of_a_claim(&empty().await).await;
    let (trouble, plan) = pages_of_a_claim(&filled("queue-trouble", &[FEW, TROUBLE]).await).await;
    assert!(trouble <= calm + 5, "{trouble} pages beside groups in trouble, {calm} without\n{plan}");
    let (crowd, plan) = pages_of_a_claim(&filled("queue-crowd", &[TROUBLE, CROWD, FEW]).await).await;
    assert!(crowd <= calm + 50, "{crowd} pages beside a crowd that waits, {calm} without\n{plan}");
}
