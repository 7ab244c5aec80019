//! One round: a database, a directory, processes, chains of jobs, and the check at its end.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_queue::{NewJob, Queue, enqueue};
use bedel_test_support::PgProxy;
use sqlx::PgPool;
use uuid::Uuid;

use crate::checker::{Chain, check};
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::{Act, Errand, Hasty, Visit};
use crate::ledger::{self, Entry, What};
use crate::plan::Plan;
use crate::process::{GLANCE, Process};
use crate::report::Outcome;
use crate::server::RoundServer;

/// Intervals of a round's workers.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between two beats.
    pub beat: Duration,
    /// A worker whose beat counter stands still this long is dead.
    pub dead_after: Duration,
    /// Poll interval.
    pub poll: Duration,
    /// Deadline of running attempts when a worker stops.
    pub drain: Duration,
}

impl Pace {
    /// Short: many rounds in little time.
    pub const QUICK: Self = Self {
        beat: Duration::from_millis(200),
        dead_after: Duration::from_secs(1),
        poll: Duration::from_millis(200),
        drain: Duration::from_millis(300),
    };

    /// The queue's own defaults.
    pub fn defaults() -> Self {
        let options = bedel_queue::WorkerOptions::default();
        Self { beat: options.beat, dead_after: options.dead_after, poll: options.poll, drain: options.drain }
    }
}

/// One round.
#[derive(Debug)]
pub struct Round {
    /// Decides what happens when.
    pub plan: Plan,
    /// Ledger, files and logs.
    pub directory: PathBuf,
    /// The server.
    pub server: Arc<RoundServer>,
    /// The database.
    pub url: String,
    /// The suite's pool, never through a proxy.
    pub pool: PgPool,
    /// Intervals of its workers.
    pub pace: Pace,
    /// Slots of each worker and kind.
    pub slots: usize,
    /// Connections of each worker's pool.
    pub connections: u32,
    /// The chains whose enqueueing was committed.
    pub chains: Vec<Chain>,
    queue: Queue,
    started: u32,
}

impl Round {
    /// Sets a round up.
    pub async fn new(plan: Plan, directory: PathBuf, server: &Arc<RoundServer>) -> Result<Self, FaultsError> {
        for part in ["temporary", "final"] {
            let path = directory.join(part);
            std::fs::create_dir_all(&path).map_err(FaultsError::file("create", &path))?;
        }
        let (url, pool) = server.database().await?;
        Ok(Self {
            plan,
            directory,
            server: Arc::clone(server),
            url,
            queue: Queue::new(pool.clone()),
            pool,
            pace: Pace::QUICK,
            slots: 4,
            connections: 5,
            chains: Vec::new(),
            started: 0,
        })
    }

    /// A proxy to its server.
    ///
    /// # Errors
    /// If the socket cannot be created.
    pub fn proxy(&self) -> Result<PgProxy, FaultsError> {
        PgProxy::start(&self.url.parse()?).map_err(FaultsError::io("start a proxy"))
    }

    /// Starts a worker process and returns at once.
    pub fn worker(&mut self) -> Result<Process, FaultsError> {
        let url = self.url.clone();
        self.worker_at(&url)
    }

    /// As [`worker`](Self::worker), with another URL of the database.
    pub fn worker_at(&mut self, url: &str) -> Result<Process, FaultsError> {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        let millis = |duration: Duration| duration.as_millis().to_string();
        let arguments = [
            ("--url", url.to_owned()),
            ("--name", name.clone()),
            ("--directory", self.directory.display().to_string()),
            ("--slots", self.slots.to_string()),
            ("--connections", self.connections.to_string()),
            ("--beat", millis(self.pace.beat)),
            ("--dead-after", millis(self.pace.dead_after)),
            ("--poll", millis(self.pace.poll)),
            ("--drain", millis(self.pace.drain)),
        ];
        let mut line = vec!["worker".to_owned()];
        line.extend(arguments.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
        Process::start(&self.directory, &name, &line)
    }

    /// Starts `count` workers and waits until they beat.
    pub async fn workers(&mut self, count: usize) -> Result<Vec<Process>, FaultsError> {
        let workers = (0..count).map(|_| self.worker()).collect::<Result<Vec<_>, _>>()?;
        for worker in &workers {
            self.registered(worker).await?;
        }
        Ok(workers)
    }

    /// Waits until a worker beats.
    pub async fn registered(&self, worker: &Process) -> Result<(), FaultsError> {
        self.until("a worker registers", Duration::from_secs(20), async || {
            Ok(sqlx::query("-- round::registered\nSELECT FROM queue.workers WHERE name = $1")
                .bind(worker.name())
                .fetch_optional(&self.pool)
                .await?
                .is_some())
        })
        .await
    }

    /// Starts a scheduler process.
    pub fn scheduler(&mut self, cron: &str, item: Uuid) -> Result<Process, FaultsError> {
        self.started += 1;
        let name = format!("scheduler-{}", self.started);
        let item = item.to_string();
        let line = ["scheduler", "--url", &self.url, "--name", &name, "--cron", cron, "--item", &item];
        Process::start(&self.directory, &name, &line.map(str::to_owned))
    }

    /// Enqueues a chain of `steps` jobs with the same act and wakes the workers. Returns its item.
    pub async fn enqueue(&mut self, act: Act, steps: u32) -> Result<Uuid, FaultsError> {
        let visit = Visit { item: Uuid::new_v4(), step: 1, steps, act };
        self.enqueue_job(&visit, visit.job()).await
    }

    /// As [`enqueue`](Self::enqueue), one job that may take one second and is tried twice.
    pub async fn enqueue_hasty(&mut self, act: Act) -> Result<Uuid, FaultsError> {
        let visit = Visit { item: Uuid::new_v4(), step: 1, steps: 1, act };
        let job = NewJob::new(&Hasty(visit.clone())).subject(visit.item);
        self.enqueue_job(&visit, job).await
    }

    /// As [`enqueue`](Self::enqueue), one plain job.
    pub async fn enqueue_errand(&mut self, act: Act) -> Result<Uuid, FaultsError> {
        let visit = Visit { item: Uuid::new_v4(), step: 1, steps: 1, act };
        let job = NewJob::new(&Errand(visit.clone())).subject(visit.item);
        let item = self.enqueue_job(&visit, job).await?;
        if let Some(chain) = self.chains.last_mut() {
            chain.plain = true;
        }
        Ok(item)
    }

    async fn enqueue_job(&mut self, visit: &Visit, job: NewJob) -> Result<Uuid, FaultsError> {
        let mut tx = self.pool.begin().await?;
        self.add_item(&mut tx, visit.item).await?;
        let first = enqueue(&mut tx, &job).await?.id;
        tx.commit().await?;
        self.queue.wake();
        self.chains.push(Chain { item: visit.item, first, steps: visit.steps, plain: false });
        Ok(visit.item)
    }

    /// Adds an item's row.
    pub async fn add_item(&self, tx: &mut sqlx::PgConnection, item: Uuid) -> Result<(), FaultsError> {
        sqlx::query("-- round::add_item\nINSERT INTO faults.items (id) VALUES ($1)")
            .bind(item)
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Polls until `condition` holds.
    ///
    /// # Errors
    /// If it does not within `limit`. An error of the condition counts as false: the database may be away.
    pub async fn until<F, Fut>(&self, what: &str, limit: Duration, condition: F) -> Result<(), FaultsError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<bool, FaultsError>>,
    {
        let deadline = Instant::now() + limit;
        while !condition().await.unwrap_or(false) {
            if Instant::now() > deadline {
                return Err(FaultsError::Late(what.to_owned()));
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    /// Waits until every job is final, at most `limit`. The check counts the jobs that are still live.
    pub async fn settle(&self, limit: Duration) {
        let finished = async || {
            let live: i64 = sqlx::query_scalar(
                "-- round::settle
                 SELECT count(*) FROM queue.jobs WHERE state IN ('available', 'running')",
            )
            .fetch_one(&self.pool)
            .await?;
            Ok(live == 0)
        };
        // The check counts what is late.
        let _ = self.until("every job is final", limit, finished).await;
    }

    /// The round's ledger.
    pub fn ledger(&self) -> Result<Vec<Entry>, FaultsError> {
        ledger::read(&self.directory)
    }

    /// Handler calls so far.
    pub fn starts(&self) -> Result<usize, FaultsError> {
        Ok(self.ledger()?.iter().filter(|entry| entry.what == What::Start).count())
    }

    /// Checks the round.
    pub async fn check(&self, allowance: &Allowance) -> Result<Outcome, FaultsError> {
        check(&self.pool, &self.directory, &self.ledger()?, &self.chains, allowance).await
    }
}
