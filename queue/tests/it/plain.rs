//! Plain kinds: no hooks, batched ends, and all the same promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bedel_queue::{
    Attempt, Backoff, End, Job, JobError, NewJob, Policy, Registry, WorkerOptions, drain, enqueue_many,
    run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::manual_job::{keep_leases, lose_leases};
use crate::support::{Bench, bench, eventually, options};

/// How often a handler was called.
type Runs = Arc<AtomicU64>;

/// Fails this many times, then succeeds. Negative: never succeeds.
#[derive(Debug, Serialize, Deserialize)]
struct Render {
    failures: i32,
}

impl Job for Render {
    const KIND: &'static str = "render";
    type Context = Runs;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            max_attempts: 3,
            backoff: Backoff { first: Duration::ZERO, max: Duration::ZERO },
            ..Policy::default()
        }
    }

    async fn run(&self, runs: &Runs, attempt: &Attempt) -> Result<(), JobError> {
        runs.fetch_add(1, Ordering::Relaxed);
        match self.failures {
            0.. if attempt.number > self.failures => Ok(()),
            i32::MIN..=-100 => panic!("a handler's bug"),
            // PostgreSQL refuses NUL in a text.
            _ => Err(JobError::retry("paper-jam", "no paper\0")),
        }
    }
}

fn worker(bench: &Bench, slots: usize, stop: &CancellationToken) -> JoinHandle<()> {
    counting_worker(bench, slots, stop, Runs::default())
}

fn counting_worker(bench: &Bench, slots: usize, stop: &CancellationToken, runs: Runs) -> JoinHandle<()> {
    let options = WorkerOptions { slots: BTreeMap::from([("render".to_owned(), slots)]), ..options(0) };
    let (queue, registry) = (bench.queue.clone(), Registry::new(runs).register::<Render>());
    let stop = stop.clone();
    tokio::spawn(async move { run_worker(queue, registry, options, stop).await.unwrap() })
}

async fn enqueue_all(bench: &Bench, failures: &[i32]) -> Vec<Uuid> {
    let jobs: Vec<_> = failures.iter().map(|failures| NewJob::new(&Render { failures: *failures })).collect();
    let mut connection = bench.pool.acquire().await.unwrap();
    enqueue_many(&mut connection, &jobs).await.unwrap().into_iter().map(|enqueued| enqueued.id).collect()
}

const UNFINISHED: &str = "SELECT count(*) FROM queue.jobs WHERE state IN ('available', 'running')";

#[tokio::test(flavor = "multi_thread")]
async fn ends_that_are_written_together_are_each_its_own() {
    let bench = bench().await;
    let failures: Vec<i32> = (0..300).map(|n| [0, 1, 2, -1, -100][n % 5]).collect();
    let ids = enqueue_all(&bench, &failures).await;
    let stop = CancellationToken::new();
    let worker = worker(&bench, 50, &stop);
    eventually("all ended", async || bench.count(UNFINISHED).await == 0).await;
    stop.cancel();
    worker.await.unwrap();
    for (id, failures) in ids.into_iter().zip(failures) {
        let expected = match failures {
            0.. => ("completed".to_owned(), (failures + 1, failures, 0)),
            _ => ("discarded".to_owned(), (3, 3, 0)),
        };
        assert_eq!(
            (bench.state(id).await, bench.counters(id).await),
            expected,
            "that fails {failures} times"
        );
    }
    let found: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT class, message, count(*) FROM queue.failed_attempts GROUP BY class, message ORDER BY class",
    )
    .fetch_all(&bench.pool)
    .await
    .unwrap();
    let found: Vec<_> = found.iter().map(|(class, text, n)| (class.as_str(), text.as_str(), *n)).collect();
    assert_eq!(found, [("panic", "the handler panicked", 180), ("paper-jam", "no paper ", 60 + 120 + 180)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_attempt_costs_two_row_versions_and_few_statements() {
    let bench = bench().await;
    enqueue_all(&bench, &[0; 2000]).await;
    let updates = "SELECT n_tup_upd::bigint FROM pg_stat_user_tables WHERE relid = 'queue.jobs'::regclass";
    let transactions = "SELECT xact_commit::bigint FROM pg_stat_database WHERE datname = current_database()";
    let before = bench.count(transactions).await;
    let stop = CancellationToken::new();
    let worker = worker(&bench, 200, &stop);
    eventually("all ended", async || bench.count(UNFINISHED).await == 0).await;
    stop.cancel();
    worker.await.unwrap();
    eventually("the statistics are in", async || bench.count(updates).await >= 4000).await;
    assert_eq!(bench.count(updates).await, 4000);
    let spent = bench.count(transactions).await - before;
    assert!(spent < 500, "{spent} transactions for 2000 jobs, those of the test among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_between_the_run_and_its_end_loses_nothing() {
    let bench = bench().await;
    let victim = bench.victim().await;
    let ids = enqueue_all(&bench, &[0; 400]).await;
    let stop = CancellationToken::new();
    let runs = Runs::default();
    let worker = counting_worker(&victim, 20, &stop, Arc::clone(&runs));
    // The worker's sessions are ended again and again.
    for _ in 0..20 {
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'bedel-%' AND datname = current_database()")
            .execute(&bench.pool)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eventually("all ended", async || bench.count(UNFINISHED).await == 0).await;
    stop.cancel();
    worker.await.unwrap();
    for id in ids {
        assert_eq!(bench.state(id).await, "completed");
        let (_, errors, crashes) = bench.counters(id).await;
        assert_eq!((errors, crashes), (0, 0), "a budget was spent");
    }
    assert_eq!(runs.load(Ordering::Relaxed), 400, "work whose end waited for the database was done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_waits_for_the_database_with_its_slot_and_its_lease() {
    let bench = bench().await;
    // The server ends the session that writes the first end, twice.
    sqlx::raw_sql(
        "CREATE SEQUENCE ends;
         CREATE FUNCTION break_two() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('ends') <= 2 THEN
                 PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60);
             END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER break_two AFTER UPDATE ON queue.jobs
            FOR EACH ROW WHEN (NEW.state = 'completed') EXECUTE FUNCTION break_two()",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let id = enqueue_all(&bench, &[0]).await[0];
    let (stop, runs) = (CancellationToken::new(), Runs::default());
    // Beats are faster than the retry pause: they see a finished attempt that is still in flight.
    let worker = counting_worker(&bench, 1, &stop, Arc::clone(&runs));
    bench.until(id, "completed").await;
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(bench.counters(id).await, (1, 0, 0));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_attempt_without_its_lease_is_not_written() {
    let bench = bench().await;
    // A success and a failure of attempts that lose their lease at the claim.
    let ids = enqueue_all(&bench, &[0, -1]).await;
    lose_leases(&bench.pool).await;
    let (stop, runs) = (CancellationToken::new(), Runs::default());
    let options = WorkerOptions {
        slots: BTreeMap::from([("render".to_owned(), 2)]),
        beat: Duration::from_secs(60),
        ..options(0)
    };
    let registry = Registry::new(Arc::clone(&runs)).register::<Render>();
    let (queue, token) = (bench.queue.clone(), stop.clone());
    let worker = tokio::spawn(async move { run_worker(queue, registry, options, token).await.unwrap() });
    eventually("both ran", async || runs.load(Ordering::Relaxed) == 2).await;
    // Later ends are written, so the two were handled.
    keep_leases(&bench.pool).await;
    let next = enqueue_all(&bench, &[0]).await[0];
    bench.until(next, "completed").await;
    for id in ids {
        assert_eq!(bench.state(id).await, "running");
    }
    assert_eq!(bench.count("SELECT count(*) FROM queue.failed_attempts").await, 0);
    stop.cancel();
    worker.await.unwrap();
}

/// A plain kind with a failure hook and its own defaults. Odd numbers fail.
#[derive(Debug, Serialize, Deserialize)]
struct Mail {
    number: u32,
}

impl Job for Mail {
    const KIND: &'static str = "mail";
    type Context = ();
    type Output = ();

    fn policy() -> Policy {
        Policy { slots: 3, priority: 4, error_classes: &["no-address"], ..Policy::default() }
    }

    async fn run(&self, (): &(), _: &Attempt) -> Result<(), JobError> {
        if self.number % 2 == 1 { Err(JobError::fatal("no-address", "no address")) } else { Ok(()) }
    }

    async fn ended((): &(), end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        sqlx::query("INSERT INTO effects (job_id, what) VALUES ($1, $2)")
            .bind(end.subject)
            .bind(&end.class)
            .execute(tx)
            .await?;
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn the_failure_hook_of_a_plain_kind_runs_and_its_policy_has_the_defaults() {
    let bench = bench().await;
    for number in 0..4 {
        bench.enqueue(NewJob::new(&Mail { number }).subject(Uuid::new_v4())).await;
    }
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE priority = 4").await, 4);
    let registry = Registry::new(()).register::<Mail>();
    let slots = registry.default_slots();
    assert_eq!(slots, BTreeMap::from([("mail".to_owned(), 3)]));
    let options = WorkerOptions { slots, ..options(0) };
    drain(bench.queue.clone(), registry, options).await.unwrap();
    assert_eq!(bench.effects("no-address").await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'discarded'").await, 2);
}

/// A plain kind with args of any size.
#[derive(Debug, Serialize, Deserialize)]
struct Bulky(String);

impl Job for Bulky {
    const KIND: &'static str = "bulky";
    type Context = ();
    type Output = ();

    fn policy() -> Policy {
        Policy::default()
    }

    async fn run(&self, (): &(), _: &Attempt) -> Result<(), JobError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_large_args_is_bounded_by_their_bytes() {
    let bench = bench().await;
    let jobs: Vec<_> = (0..150).map(|_| NewJob::new(&Bulky("x".repeat(600_000)))).collect();
    enqueue_many(&mut bench.pool.acquire().await.unwrap(), &jobs).await.unwrap();
    let options = WorkerOptions { slots: BTreeMap::from([("bulky".to_owned(), 400)]), ..options(0) };
    let worker = bench.worker_of(Registry::new(()).register::<Bulky>(), options);
    eventually("all ended", async || bench.count(UNFINISHED).await == 0).await;
    worker.stop().await;
    let most =
        "SELECT max(jobs) FROM (SELECT count(*) AS jobs FROM queue.jobs GROUP BY attempted_at) AS claims";
    assert!(bench.count(most).await <= 32, "{} in one claim", bench.count(most).await);
}
