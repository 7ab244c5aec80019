//! Nothing fails for ever in silence: a step that cannot succeed becomes an error of its attempt, with a row in the history.

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::support::{Bench, Worker, bench, eventually, options};

/// What the kind does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Trouble {
    /// Its handler holds a connection of the pool while it saves a checkpoint.
    HoldsConnection,
    /// Its begin hook never ends.
    BeginHangs,
    /// Its commit hook never ends.
    CommitHangs,
    /// Its commit hook waits for a row that another transaction holds.
    WaitsForLock,
    /// Its commit hook sends a statement that the protocol cannot carry.
    TooManyBinds,
    /// Its handler does.
    TooManyBindsInRun,
    /// Its handler takes half a second.
    Slow,
}

/// A statement with more parameters than the protocol can count.
async fn send_too_many_binds(connection: &mut PgConnection) -> Result<(), JobError> {
    let places: Vec<String> = (1..=70_000).map(|n| format!("${n}")).collect();
    let mut query = sqlx::query(AssertSqlSafe(format!("SELECT ARRAY[{}]", places.join(","))));
    for n in 0..70_000 {
        query = query.bind(n);
    }
    query.execute(connection).await?;
    Ok(())
}

#[derive(Debug, Serialize, Deserialize)]
struct Troubled(Trouble);

impl Job for Troubled {
    const KIND: &'static str = "troubled";
    type Context = PgPool;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            max_attempts: 2,
            backoff: Backoff { first: Duration::ZERO, max: Duration::ZERO },
            ..Policy::default()
        }
    }

    async fn begin(&self, _: &PgPool, _: &Attempt, _: &mut PgConnection) -> Result<(), JobError> {
        match self.0 {
            Trouble::BeginHangs => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn run(&self, pool: &PgPool, attempt: &Attempt) -> Result<(), JobError> {
        if self.0 == Trouble::HoldsConnection {
            let _held = pool.acquire().await?;
            attempt.save_checkpoint(&1).await?;
            attempt.check_lease().await?;
        }
        if self.0 == Trouble::Slow {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        if self.0 == Trouble::TooManyBindsInRun {
            send_too_many_binds(&mut *pool.acquire().await?).await?;
        }
        Ok(())
    }

    async fn commit(
        &self,
        _: &PgPool,
        _: &Attempt,
        (): &(),
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        match self.0 {
            Trouble::CommitHangs => std::future::pending().await,
            Trouble::WaitsForLock => {
                sqlx::query("SELECT FROM held FOR UPDATE").execute(tx).await?;
            }
            Trouble::TooManyBinds => send_too_many_binds(tx).await?,
            _ => {}
        }
        Ok(Commit::done())
    }
}

/// A worker with one connection in its pool and short limits.
async fn impatient(bench: &Bench) -> Worker {
    let pool = PgPoolOptions::new().max_connections(1).connect(&bench.url).await.unwrap();
    let through = Bench { queue: Queue::new(pool.clone()), pool: pool.clone(), url: bench.url.clone() };
    let options = WorkerOptions {
        slots: BTreeMap::from([("troubled".to_owned(), 1)]),
        step_timeout: Duration::from_millis(400),
        ..options(0)
    };
    through.worker_of(Registry::new(pool).register::<Troubled>(), options)
}

/// Classes and messages of the history, after the job has ended in this state.
async fn story(bench: &Bench, trouble: Trouble, state: &str) -> Vec<(String, String)> {
    let id = bench.enqueue(NewJob::new(&Troubled(trouble))).await.id;
    let worker = impatient(bench).await;
    eventually(&format!("{trouble:?} ends"), async || bench.state(id).await == state).await;
    worker.stop().await;
    sqlx::query_as("SELECT class, message FROM queue.failed_attempts ORDER BY attempt")
        .fetch_all(&bench.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_holds_the_last_connection_saves_a_checkpoint() {
    let bench = bench().await;
    assert_eq!(story(&bench, Trouble::HoldsConnection, "completed").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_never_ends_is_an_error_of_its_attempt() {
    for trouble in [Trouble::BeginHangs, Trouble::CommitHangs] {
        let bench = bench().await;
        let story = story(&bench, trouble, "discarded").await;
        assert_eq!(story.len(), 2, "{story:?}");
        assert!(story.iter().all(|(class, _)| class == "step-timeout"), "{story:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_another_transaction_holds_is_an_error_of_the_attempt() {
    let bench = bench().await;
    sqlx::raw_sql("CREATE TABLE held (id integer); INSERT INTO held VALUES (1)")
        .execute(&bench.pool)
        .await
        .unwrap();
    let mut holder = bench.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM held FOR UPDATE").execute(&mut *holder).await.unwrap();
    let story = story(&bench, Trouble::WaitsForLock, "discarded").await;
    assert_eq!(story.len(), 2, "{story:?}");
    assert!(story.iter().all(|(_, message)| message.contains("lock timeout")), "{story:?}");
    holder.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_own_row_is_locked_leaves_a_row_in_the_history_and_runs_again() {
    let bench = bench().await;
    let id = bench.enqueue(NewJob::new(&Troubled(Trouble::Slow))).await.id;
    let worker = impatient(&bench).await;
    bench.until(id, "running").await;
    let mut holder = bench.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.jobs WHERE id = $1 FOR UPDATE")
        .bind(id)
        .execute(&mut *holder)
        .await
        .unwrap();
    let told = "SELECT count(*) FROM queue.failed_attempts WHERE message LIKE '%lock timeout%'";
    eventually("the history tells it", async || bench.count(told).await == 1).await;
    assert_eq!(bench.state(id).await, "running");
    holder.rollback().await.unwrap();
    bench.until(id, "completed").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_cannot_be_sent_is_an_error_of_the_attempt() {
    for trouble in [Trouble::TooManyBinds, Trouble::TooManyBindsInRun] {
        let bench = bench().await;
        let story = story(&bench, trouble, "discarded").await;
        assert_eq!(story.len(), 2, "{story:?}");
        assert!(story.iter().all(|(class, _)| class == "database"), "{story:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_of_the_role_and_the_database_do_not_matter() {
    let bench = bench().await;
    sqlx::raw_sql(
        "DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database());
             EXECUTE format('ALTER DATABASE %I SET \"TimeZone\" = ''Pacific/Kiritimati''', current_database());
             EXECUTE format('ALTER DATABASE %I SET search_path = ''nowhere''', current_database());
             EXECUTE format('ALTER DATABASE %I SET \"DateStyle\" = ''SQL, DMY''', current_database());
             EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -15', current_database());
         END $$",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    assert_eq!(story(&bench, Trouble::HoldsConnection, "completed").await, []);
}
