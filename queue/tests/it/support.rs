//! A job kind whose attempts do what their args say, a worker to run them, and waiting with a deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use bedel_postgres::testing::{TestDatabase, database};
use bedel_queue::{
    Attempt, Backoff, Commit, End, Enqueued, Failure, Job, JobError, NewJob, Policy, Queue, Registry,
    WorkerOptions, enqueue, run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What an attempt does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Act {
    Succeed,
    /// Enqueues a `Succeed` of the same subject and unique key at its commit.
    Chain,
    Retry,
    RetryAfter(u64),
    Fatal,
    Wait(u64),
    Panic,
    Hang,
    /// Blocks a thread without checking the cancellation.
    Block(u64),
    Sleep(u64),
    /// Saves a checkpoint one higher than the last, then hangs.
    CheckpointThenHang,
    /// Commits as cancelled.
    SubjectGone,
    PanicInCommit,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    pub act: Act,
}

/// What a test's jobs use.
#[derive(Debug, Clone)]
pub struct Lab {
    pub pool: PgPool,
}

impl Lab {
    /// Records a side effect outside any transaction.
    async fn note(&self, attempt: &Attempt, what: &str) {
        sqlx::query("INSERT INTO effects (job_id, lease, what) VALUES ($1, $2, $3)")
            .bind(attempt.job_id)
            .bind(attempt.lease)
            .bind(what)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

async fn note_in(tx: &mut PgConnection, job: Option<Uuid>, what: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO effects (job_id, what) VALUES ($1, $2)")
        .bind(job)
        .bind(what)
        .execute(tx)
        .await?;
    Ok(())
}

/// The hooks of jobs with this subject send a statement that the database refuses.
pub const REFUSED_SUBJECT: Uuid = Uuid::nil();

async fn refuse(subject: Option<Uuid>, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    if subject == Some(REFUSED_SUBJECT) {
        sqlx::query("SELECT 1 / 0").execute(tx).await?;
    }
    Ok(())
}

impl Job for Step {
    const KIND: &'static str = "step";
    type Context = Lab;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            max_attempts: 3,
            backoff: Backoff { first: Duration::from_millis(50), max: Duration::from_millis(100) },
            timeout: Duration::from_secs(2),
            ..Policy::default()
        }
    }

    async fn begin(&self, _: &Lab, attempt: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        Ok(note_in(tx, Some(attempt.job_id), "begin").await?)
    }

    async fn run(&self, lab: &Lab, attempt: &Attempt) -> Result<(), JobError> {
        lab.note(attempt, "run").await;
        match self.act {
            Act::Succeed | Act::Chain | Act::SubjectGone | Act::PanicInCommit => Ok(()),
            Act::Retry => Err(JobError::retry("network", "the line is down")),
            Act::RetryAfter(ms) => {
                Err(JobError::retry_after("busy", "come back later", Duration::from_millis(ms)))
            }
            Act::Fatal => Err(JobError::fatal("gone", "it was deleted")),
            Act::Wait(ms) => {
                Err(JobError::wait("encoding", "still being encoded", Duration::from_millis(ms)))
            }
            Act::Panic => panic!("a handler's bug"),
            Act::Hang => std::future::pending().await,
            Act::Block(ms) => {
                let blocking = move || std::thread::sleep(Duration::from_millis(ms));
                tokio::task::spawn_blocking(blocking).await.unwrap();
                Ok(())
            }
            Act::Sleep(ms) => {
                attempt.set_progress(0.5);
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(())
            }
            Act::CheckpointThenHang => {
                let last: i64 = attempt.checkpoint().unwrap_or(0);
                attempt.save_checkpoint(&(last + 1)).await?;
                lab.note(attempt, "checkpoint").await;
                std::future::pending().await
            }
        }
    }

    async fn commit(
        &self,
        _: &Lab,
        attempt: &Attempt,
        (): &(),
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        note_in(tx, Some(attempt.job_id), "commit").await?;
        Ok(match self.act {
            Act::Chain => {
                let next = step(Act::Succeed).subject(attempt.subject()?).unique_key("chain");
                Commit::done().then(next)
            }
            Act::PanicInCommit => panic!("a hook's bug"),
            Act::SubjectGone => Commit::cancelled("the lecture was deleted"),
            _ => Commit::done().with_result(serde_json::json!({ "attempt": attempt.number })),
        })
    }

    async fn attempt_failed(_: &Lab, failure: &Failure, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        refuse(failure.subject, tx).await?;
        note_in(tx, failure.subject, &format!("failed:{}", failure.class)).await
    }

    async fn ended(_: &Lab, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        refuse(end.subject, tx).await?;
        let how = if end.cancelled { "cancelled" } else { "discarded" };
        note_in(tx, end.subject, &format!("{how}:{}", end.class)).await?;
        Ok(Vec::new())
    }
}

pub fn step(act: Act) -> NewJob {
    NewJob::new(&Step { act })
}

/// A separate queue for one test.
pub struct Bench {
    pub pool: PgPool,
    pub url: String,
    pub queue: Queue,
}

/// The queue's tables, and one where jobs record what they did.
pub async fn schema(pool: &PgPool) {
    bedel_queue::migrate(pool).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE effects (n bigserial, at timestamptz DEFAULT clock_timestamp(), job_id uuid, lease uuid, what text)",
    )
    .execute(pool)
    .await
    .unwrap();
}

pub async fn bench() -> Bench {
    let TestDatabase { pool, url, .. } = database("queue", async |pool| schema(&pool).await).await;
    Bench { queue: Queue::new(pool.clone()), pool, url }
}

pub fn registry(pool: &PgPool) -> Registry<Lab> {
    Registry::new(Lab { pool: pool.clone() }).register::<Step>()
}

/// Fast beats, to keep the tests short.
pub fn options(slots: usize) -> WorkerOptions {
    WorkerOptions {
        name: format!("test:{}", std::process::id()),
        slots: BTreeMap::from([("step".to_owned(), slots)]),
        beat: Duration::from_millis(200),
        dead_after: Duration::from_secs(1),
        poll: Duration::from_millis(100),
        drain: Duration::from_millis(500),
        ..WorkerOptions::default()
    }
}

/// A worker inside the test process.
pub struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl Bench {
    /// The same database through sessions named `victim`, so that a test can end them and keep its own.
    pub async fn victim(&self) -> Self {
        let options = self.pool.connect_options().as_ref().clone().application_name("victim");
        let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
        Self { queue: Queue::new(pool.clone()), pool, url: self.url.clone() }
    }

    pub async fn enqueue(&self, job: NewJob) -> Enqueued {
        let mut connection = self.pool.acquire().await.unwrap();
        enqueue(&mut connection, &job).await.unwrap()
    }

    pub fn worker(&self, options: WorkerOptions) -> Worker {
        self.worker_of(registry(&self.pool), options)
    }

    /// A worker with the test's own kinds.
    pub fn worker_of<C: Clone + Send + Sync + 'static>(
        &self,
        registry: Registry<C>,
        options: WorkerOptions,
    ) -> Worker {
        let stop = CancellationToken::new();
        let (queue, token) = (self.queue.clone(), stop.clone());
        let task = tokio::spawn(async move { run_worker(queue, registry, options, token).await.unwrap() });
        Worker { stop, task }
    }

    pub async fn state(&self, id: Uuid) -> String {
        sqlx::query_scalar("SELECT state::text FROM queue.jobs WHERE id = $1")
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until the job is in `state`.
    pub async fn until(&self, id: Uuid, state: &str) {
        eventually(&format!("job in state {state}"), async || self.state(id).await == state).await;
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Side effects of this kind, of all jobs.
    pub async fn effects(&self, what: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM effects WHERE what = $1")
            .bind(what)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub async fn counters(&self, id: Uuid) -> (i32, i32, i32) {
        sqlx::query_as("SELECT attempt, errors, crashes FROM queue.jobs WHERE id = $1")
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

/// Polls until `condition` holds; fails after 20 s.
pub async fn eventually<F, Fut>(what: &str, condition: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
