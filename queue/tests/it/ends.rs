//! Ends of plain attempts where one of them cannot be written.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bedel_queue::{Attempt, Job, JobError, NewJob, Policy, Registry, WorkerOptions, enqueue_many};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, query};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Bench, bench, eventually, options};

/// Runs until the token fires.
#[derive(Debug, Serialize, Deserialize)]
struct Gated;

impl Job for Gated {
    const KIND: &'static str = "gated";
    type Context = CancellationToken;
    type Output = ();

    fn policy() -> Policy {
        Policy::default()
    }

    async fn run(&self, open: &CancellationToken, _: &Attempt) -> Result<(), JobError> {
        open.cancelled().await;
        Ok(())
    }
}

const COMPLETED: &str = "SELECT count(*) FROM queue.jobs WHERE state = 'completed'";
const RUNNING: &str = "SELECT count(*) FROM queue.jobs WHERE state = 'running'";

async fn enqueue_gated(bench: &Bench, number: usize) -> Vec<Uuid> {
    let jobs: Vec<_> = (0..number).map(|_| NewJob::new(&Gated)).collect();
    let mut connection = bench.pool.acquire().await.unwrap();
    enqueue_many(&mut connection, &jobs).await.unwrap().into_iter().map(|enqueued| enqueued.id).collect()
}

fn slots(number: usize) -> WorkerOptions {
    WorkerOptions { slots: BTreeMap::from([("gated".to_owned(), number)]), ..options(0) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_holds_up_its_own_end_alone() {
    let bench = bench().await;
    let ids = enqueue_gated(&bench, 200).await;
    let open = CancellationToken::new();
    let worker = bench.worker_of(Registry::new(open.clone()).register::<Gated>(), slots(200));
    eventually("all run", async || bench.count(RUNNING).await == 200).await;
    let mut holder = bench.pool.begin().await.unwrap();
    query("SELECT FROM queue.jobs WHERE id = $1 FOR UPDATE")
        .bind(ids[7])
        .execute(&mut *holder)
        .await
        .unwrap();
    open.cancel();
    eventually("the others end", async || bench.count(COMPLETED).await == 199).await;
    // The locked end does not hold up later ones either. Each batch with it would take a second.
    let begun = Instant::now();
    for _ in 0..20 {
        let id = enqueue_gated(&bench, 1).await[0];
        bench.queue.wake();
        bench.until(id, "completed").await;
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(bench.state(ids[7]).await, "running");
    holder.rollback().await.unwrap();
    bench.until(ids[7], "completed").await;
    assert_eq!(bench.counters(ids[7]).await, (1, 0, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_end_costs_a_few_statements_and_its_own_job_alone() {
    let bench = bench().await;
    let ids = enqueue_gated(&bench, 256).await;
    query("CREATE TABLE writes (rows bigint)").execute(&bench.pool).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE 'refused' USING ERRCODE = '23514'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON queue.jobs FOR EACH ROW
             WHEN (NEW.state = 'completed' AND NEW.id = '{}') EXECUTE FUNCTION refuse();
         CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO writes SELECT count(*) FROM changed; RETURN NULL; END $$;
         CREATE TRIGGER note_write AFTER UPDATE ON queue.jobs REFERENCING NEW TABLE AS changed
             FOR EACH STATEMENT EXECUTE FUNCTION note_write()",
        ids[100]
    )))
    .execute(&bench.pool)
    .await
    .unwrap();
    let open = CancellationToken::new();
    let worker = bench.worker_of(Registry::new(open.clone()).register::<Gated>(), slots(256));
    eventually("all run", async || bench.count(RUNNING).await == 256).await;
    query("DELETE FROM writes").execute(&bench.pool).await.unwrap();
    open.cancel();
    eventually("the others end", async || bench.count(COMPLETED).await == 255).await;
    eventually("it failed", async || bench.counters(ids[100]).await.1 == 1).await;
    let refused = "SELECT count(*) FROM queue.failed_attempts WHERE class = 'refused'";
    assert_eq!(bench.count(refused).await, 1);
    let statements = bench.count("SELECT count(*) FROM writes WHERE rows > 0").await;
    assert!(statements < 60, "{statements} statements for 256 ends");
    worker.stop().await;
}
