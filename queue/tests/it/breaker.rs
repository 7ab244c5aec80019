//! The circuit breaker of a group, with real workers.

use bedel_queue::{NewJob, enqueue_many, run_worker};
use tokio_util::sync::CancellationToken;

use crate::caller::{
    Answer, Hosts, breaker, call, caller_options, callers, long_lived, open, ping, ungrouped,
};
use crate::liveness::Process;
use crate::support::{Bench, bench, eventually};

const DOWN: &str = "down.example";
const FINE: &str = "fine.example";

const COMPLETED: &str = "SELECT count(*) FROM queue.jobs WHERE state = 'completed'";
const RUNNING: &str = "SELECT count(*) FROM queue.jobs WHERE state = 'running'";
const ERRORS: &str = "SELECT sum(errors) FROM queue.jobs";

async fn enqueue_all(bench: &Bench, jobs: &[NewJob]) {
    enqueue_many(&mut bench.pool.acquire().await.unwrap(), jobs).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_is_asked_by_one_probe_at_a_time_and_everything_resumes_by_itself() {
    let (bench, hosts) = (bench().await, Hosts::default());
    hosts.answer(DOWN, Answer::Down(150));
    let jobs: Vec<_> = (0..20).map(|n| if n % 2 == 0 { call(DOWN) } else { ping(DOWN) }).collect();
    enqueue_all(&bench, &jobs).await;
    let workers = [(); 3].map(|()| bench.worker_of(callers(&hosts), long_lived(4)));
    eventually("the breaker is open", async || {
        breaker(&bench, DOWN).await.is_some_and(|breaker| breaker.opened_at.is_some())
    })
    .await;
    let under_way = "SELECT count(*) FROM queue.jobs JOIN queue.breakers USING (group_key)
                      WHERE state = 'running' AND attempted_at < probe_at";
    eventually("who was under way has failed", async || bench.count(under_way).await == 0).await;
    let spent = bench.count(ERRORS).await;
    assert!(spent >= 3, "the failures that opened it count: {spent}");
    hosts.most(DOWN);
    eventually("four probes", async || breaker(&bench, DOWN).await.is_some_and(|b| b.probes >= 4)).await;
    let most = hosts.most(DOWN);
    let down = breaker(&bench, DOWN).await.unwrap();
    assert_eq!(most, 1, "callers at a time");
    assert_eq!(down.failures, 3, "probes are counted apart");
    let pause = down.probe_at.unwrap() - down.failed_at;
    assert!(pause.num_milliseconds() >= 300, "the pause grew to 400 ms, spread by a fifth: {pause}");
    assert_eq!(bench.count(ERRORS).await, spent, "waiting spends nothing, for the probes either");

    hosts.answer(DOWN, Answer::Well);
    eventually("all are through", async || bench.count(COMPLETED).await == 20).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(bench.count(ERRORS).await, spent);
    assert_eq!(breaker(&bench, DOWN).await, None);
}

#[tokio::test]
async fn one_failure_too_few_opens_nothing_and_a_success_starts_the_count_again() {
    let (bench, hosts) = (bench().await, Hosts::default());
    hosts.answer(DOWN, Answer::Down(0));
    let counted = async |failures| {
        let breaker = breaker(&bench, DOWN).await;
        breaker.is_some_and(|breaker| breaker.failures == failures && breaker.opened_at.is_none())
    };
    let worker = bench.worker_of(callers(&hosts), caller_options(1));
    // These ends name a delay, so that no job runs twice.
    hosts.answer(DOWN, Answer::Unavailable);
    enqueue_all(&bench, &[call(DOWN), ping(DOWN)]).await;
    eventually("two are counted", async || counted(2).await).await;
    hosts.answer(DOWN, Answer::Well);
    enqueue_all(&bench, &[ping(DOWN)]).await;
    eventually("a success", async || breaker(&bench, DOWN).await.is_none()).await;
    hosts.answer(DOWN, Answer::Unavailable);
    enqueue_all(&bench, &[call(DOWN)]).await;
    eventually("one is counted", async || counted(1).await).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_group_that_waits_holds_up_neither_another_group_nor_jobs_without_one() {
    let (bench, hosts) = (bench().await, Hosts::default());
    open(&bench.pool, DOWN, 3600.0).await;
    let mut jobs: Vec<_> = (0..300).map(|_| call(DOWN)).collect();
    jobs.extend([call(FINE), ping(FINE), ungrouped(FINE)]);
    enqueue_all(&bench, &jobs).await;
    // Suspects: the claim takes them separately.
    sqlx::raw_sql(
        "UPDATE queue.jobs SET crashes = 1, attempt = 1
          WHERE id IN (SELECT id FROM queue.jobs WHERE group_key = 'down.example' ORDER BY id LIMIT 3)",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let worker = bench.worker_of(callers(&hosts), caller_options(2));
    eventually("the others are through", async || bench.count(COMPLETED).await == 3).await;
    worker.stop().await;
    assert_eq!(hosts.asked(DOWN), 0, "no call before the next probe is due");
    assert_eq!(hosts.asked(FINE), 3);
}

/// Makes all waiting calls suspects.
async fn suspect_calls(bench: &Bench) {
    sqlx::raw_sql(
        "UPDATE queue.jobs SET crashes = 1, attempt = 1 WHERE kind = 'call' AND state = 'available'",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_share_a_group_share_its_probe_and_so_do_suspects() {
    let (bench, hosts) = (bench().await, Hosts::default());
    for host in ["one.example", "two.example"] {
        hosts.answer(host, Answer::Silent);
        open(&bench.pool, host, -1.0).await;
    }
    // One host's probe is a suspect, the other's an ordinary job.
    enqueue_all(&bench, &[call("one.example"), call("one.example"), ping("one.example")]).await;
    suspect_calls(&bench).await;
    enqueue_all(&bench, &[ping("two.example"), ping("two.example")]).await;
    // The suspect runs alone in one of the processes.
    let workers = [(); 2].map(|()| bench.worker_of(callers(&hosts), caller_options(1)));
    eventually("probes have gone", async || {
        hosts.asked("one.example") >= 1 && hosts.asked("two.example") >= 1
    })
    .await;
    // While they run, another worker claims, and may take a suspect.
    enqueue_all(&bench, &[call("two.example"), call("two.example")]).await;
    suspect_calls(&bench).await;
    let other = bench.worker_of(callers(&hosts), caller_options(4));
    enqueue_all(&bench, &[call(FINE)]).await;
    eventually("another host is asked", async || hosts.asked(FINE) == 1).await;
    other.stop().await;
    assert_eq!((hosts.asked("one.example"), hosts.asked("two.example")), (1, 1), "beside the probe");
    for host in ["one.example", "two.example"] {
        hosts.answer(host, Answer::Well);
    }
    eventually("all are through", async || bench.count(COMPLETED).await == 8).await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_claim_in_the_same_moment_send_one_probe_together() {
    let (bench, hosts) = (bench().await, Hosts::default());
    let names: Vec<_> = (0..30).map(|n| format!("host-{n}.example")).collect();
    let mut jobs = Vec::new();
    for name in &names {
        hosts.answer(name, Answer::Silent);
        open(&bench.pool, name, -1.0).await;
        jobs.extend([call(name), call(name), call(name)]);
    }
    let workers = [(); 3].map(|()| bench.worker_of(callers(&hosts), long_lived(40)));
    eventually("they are there", async || bench.count("SELECT count(*) FROM queue.workers").await == 3).await;
    enqueue_all(&bench, &jobs).await;
    bench.queue.wake();
    eventually("all hosts are asked", async || names.iter().all(|name| hosts.asked(name) > 0)).await;
    // A later claim has finished, so all jobs of earlier claims have begun.
    enqueue_all(&bench, &[call(FINE)]).await;
    eventually("another host is asked", async || hosts.asked(FINE) == 1).await;
    let most = names.iter().map(|name| hosts.most(name)).max();
    for name in &names {
        hosts.answer(name, Answer::Well);
    }
    eventually("all are through", async || bench.count(COMPLETED).await == 91).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(most, Some(1), "callers at a time");
}

#[tokio::test]
async fn attempts_that_were_under_way_neither_lengthen_the_pause_nor_spend() {
    let (bench, hosts) = (bench().await, Hosts::default());
    hosts.answer(DOWN, Answer::Silent);
    enqueue_all(&bench, &[call(DOWN), ping(DOWN)]).await;
    let worker = bench.worker_of(callers(&hosts), caller_options(2));
    eventually("both ask", async || hosts.asked(DOWN) == 2).await;
    open(&bench.pool, DOWN, 3600.0).await;
    let before = breaker(&bench, DOWN).await;
    hosts.answer(DOWN, Answer::Down(0));
    eventually("both have failed", async || bench.count(RUNNING).await == 0).await;
    worker.stop().await;
    assert_eq!(breaker(&bench, DOWN).await, before);
    assert_eq!(bench.count(ERRORS).await, 0);
    let due = "SELECT count(*) FROM queue.jobs WHERE run_at <= now() AND reason = 'nobody answers'";
    assert_eq!(bench.count(due).await, 2, "they wait for the group alone, and say why");
    assert_eq!(hosts.asked(DOWN), 2);
}

#[tokio::test]
async fn an_error_that_clears_closes_and_one_that_says_neither_leaves_it() {
    let (bench, hosts) = (bench().await, Hosts::default());
    for (answer, host) in [(Answer::Gone, "gone.example"), (Answer::Later, "later.example")] {
        hosts.answer(host, answer);
        open(&bench.pool, host, -1.0).await;
        enqueue_all(&bench, &[call(host), ping(host)]).await;
    }
    hosts.answer("odd.example", Answer::Odd);
    open(&bench.pool, "odd.example", -1.0).await;
    let before = breaker(&bench, "odd.example").await;
    enqueue_all(&bench, &[call("odd.example")]).await;
    let worker = bench.worker_of(callers(&hosts), caller_options(4));
    eventually("the odd one spent its attempts", async || bench.effects("ended:odd").await == 1).await;
    eventually("both jobs of the others had their turn", async || {
        hosts.asked("gone.example") == 2 && hosts.asked("later.example") == 2
    })
    .await;
    eventually("the others are closed", async || {
        breaker(&bench, "gone.example").await.is_none() && breaker(&bench, "later.example").await.is_none()
    })
    .await;
    worker.stop().await;
    assert_eq!(breaker(&bench, "odd.example").await, before);
}

#[tokio::test]
async fn a_probe_ends_with_its_lease_and_the_next_one_goes() {
    let (bench, hosts) = (bench().await, Hosts::default());
    open(&bench.pool, DOWN, -1.0).await;
    enqueue_all(&bench, &[call(DOWN), call(DOWN), call(DOWN)]).await;
    let prober = Process::running("breaker::prober_process", &bench, 1);
    eventually("a probe has gone", async || bench.count(RUNNING).await == 1).await;
    // Another worker has slots, and claims for another group.
    let worker = bench.worker_of(callers(&hosts), caller_options(4));
    enqueue_all(&bench, &[call(FINE)]).await;
    eventually("claims are made", async || hosts.asked(FINE) == 1).await;
    assert_eq!(hosts.asked(DOWN), 0, "beside the probe");
    drop(prober);
    eventually("the next probe found it well", async || hosts.asked(DOWN) == 3).await;
    eventually("the breaker is closed", async || breaker(&bench, DOWN).await.is_none()).await;
    worker.stop().await;
    let crashed = "SELECT count(*) FROM queue.jobs WHERE crash_remembered";
    assert_eq!(bench.count(crashed).await, 1);
}

#[tokio::test]
async fn a_clock_that_was_set_back_keeps_no_group_closed() {
    let (bench, hosts) = (bench().await, Hosts::default());
    open(&bench.pool, DOWN, 7200.0).await;
    sqlx::query("UPDATE queue.breakers SET failed_at = now() + interval '2 hours', opened_at = now() + interval '2 hours'")
        .execute(&bench.pool)
        .await
        .unwrap();
    enqueue_all(&bench, &[call(DOWN), call(DOWN)]).await;
    let worker = bench.worker_of(callers(&hosts), caller_options(2));
    eventually("both are through", async || bench.count(COMPLETED).await == 2).await;
    assert!(breaker(&bench, DOWN).await.is_none());
    worker.stop().await;
}

/// Not a test: the process started above, whose probe never ends.
#[tokio::test]
async fn prober_process() {
    let Some((queue, slots)) = crate::liveness::in_process().await else { return };
    let hosts = Hosts::default();
    hosts.answer(DOWN, Answer::Silent);
    run_worker(queue, callers(&hosts), caller_options(slots), CancellationToken::new()).await.unwrap();
}
