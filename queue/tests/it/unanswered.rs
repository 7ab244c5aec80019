//! Promise 2: a COMMIT without an answer, whether the server did it or not.

use std::time::Duration;

use bedel_queue::{Queue, WorkerOptions};
use bedel_test_support::{PgProxy, Statement};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::support::{Act, Bench, bench, eventually, options, step};

const COMPLETED: &str = "SELECT count(*) FROM queue.jobs WHERE state = 'completed'";

/// Every insert, including those rolled back: a sequence never goes back.
const HOOKS_AND_RUNS: &str = "SELECT last_value FROM effects_n_seq";

/// Two completed jobs, each by one run and one commit.
async fn one_chain(bench: &Bench, first: Uuid) {
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 2, "exactly one successor");
    assert_eq!(bench.counters(first).await, (1, 0, 0), "the same attempt finds out");
    assert_eq!(bench.effects("run").await, 2, "the work is not done again");
    assert_eq!(bench.effects("commit").await, 2, "the caller's rows are there, once");
}

#[tokio::test]
async fn a_commit_that_was_not_done_is_done_again_by_the_same_attempt() {
    let bench = bench().await;
    // The server ends the first session that commits, before it does it.
    sqlx::raw_sql(
        "CREATE SEQUENCE commits;
         CREATE FUNCTION break_the_first() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('commits') = 1 THEN
                 PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60);
             END IF;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER break_the_first AFTER INSERT ON effects DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.what = 'commit') EXECUTE FUNCTION break_the_first()",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let first = bench.enqueue(step(Act::Chain).subject(Uuid::new_v4()).unique_key("chain")).await.id;
    let worker = bench.worker(options(2));
    eventually("both completed", async || bench.count(COMPLETED).await == 2).await;
    worker.stop().await;
    one_chain(&bench, first).await;
    assert_eq!(bench.count("SELECT last_value FROM commits").await, 3, "one of them was broken");
}

#[tokio::test]
async fn a_commit_that_was_done_is_a_success_and_its_hook_is_not_called_again() {
    let bench = bench().await;
    let proxy = PgProxy::start(&bench.pool.connect_options()).unwrap();
    let pool = PgPoolOptions::new().connect_with(proxy.options()).await.unwrap();
    let through = Bench { queue: Queue::new(pool.clone()), pool, url: bench.url.clone() };
    let mut answer = proxy.lose_answer(Statement::CommitOf("fence::complete"));
    let first = bench.enqueue(step(Act::Chain).subject(Uuid::new_v4()).unique_key("chain")).await.id;
    // No beat informs the attempt that its job has ended: it must read that.
    let deaf =
        WorkerOptions { beat: Duration::from_secs(60), dead_after: Duration::from_secs(200), ..options(2) };
    let worker = through.worker(deaf);
    eventually("both completed", async || bench.count(COMPLETED).await == 2).await;
    worker.stop().await;
    assert!(answer.is_lost());
    one_chain(&bench, first).await;
    assert_eq!(bench.count(HOOKS_AND_RUNS).await, 6, "begin, run and commit of each");
}
