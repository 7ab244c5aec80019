//! Worker processes, each like a separate host, whose jobs run real child processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;

use bedel_queue::{
    Attempt, Backoff, Commit, End, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Bench, eventually};

const PLAN: &str = "QUEUE_TEST_HOST";

/// Becomes the child process, beside a watcher in the same group that ends both when the worker dies, even by
/// `kill -9`: then the pipe it reads from is closed.
const CHILD: &str = "exec 3<&0 </dev/null; ( read -r _ <&3; kill -KILL 0 ) & exec sleep \"$0\" 3<&-";

/// A job that runs a child process for longer than any test, or for `seconds`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    pub seconds: f32,
}

pub fn tool(seconds: f32) -> NewJob {
    NewJob::new(&Tool { seconds })
}

pub fn tools(pool: &PgPool) -> Registry<PgPool> {
    Registry::new(pool.clone()).register::<Tool>()
}

impl Job for Tool {
    const KIND: &'static str = "tool";
    type Context = PgPool;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            backoff: Backoff { first: Duration::from_millis(50), max: Duration::from_millis(100) },
            timeout: Duration::from_secs(120),
            ..Policy::default()
        }
    }

    async fn run(&self, pool: &PgPool, attempt: &Attempt) -> Result<(), JobError> {
        let pieces: i64 = attempt.checkpoint().unwrap_or(0);
        attempt.save_checkpoint(&(pieces + 1)).await?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", CHILD, &self.seconds.to_string()])
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| JobError::fatal("tool", error.to_string()))?;
        let _pipe = child.stdin.take(); // or waiting for the child would close it
        let pid = i64::from(child.id().expect("not waited for yet"));
        sqlx::query("INSERT INTO effects (job_id, lease, what) VALUES ($1, $2, 'child:' || $3)")
            .bind(attempt.job_id)
            .bind(attempt.lease)
            .bind(pid)
            .execute(pool)
            .await?;
        child.wait().await.map_err(|error| JobError::retry("tool", error.to_string()))?;
        Ok(())
    }

    async fn commit(
        &self,
        _: &PgPool,
        _: &Attempt,
        (): &(),
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done())
    }

    async fn ended(_: &PgPool, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        sqlx::query("INSERT INTO effects (job_id, what) VALUES ($1, 'ended:' || $2)")
            .bind(end.subject)
            .bind(&end.class)
            .execute(tx)
            .await?;
        Ok(Vec::new())
    }
}

/// Settings of a worker process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub slots: usize,
    pub beat: Duration,
    pub dead_after: Duration,
    pub drain: Duration,
    /// A directory with a socket in place of the server's.
    pub through: Option<PathBuf>,
    pub url: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            slots: 1,
            beat: Duration::from_millis(200),
            dead_after: Duration::from_secs(1),
            drain: Duration::from_millis(500),
            through: None,
            url: String::new(),
        }
    }
}

impl Plan {
    pub fn through(mut self, socket_dir: &Path) -> Self {
        self.through = Some(socket_dir.to_owned());
        self
    }
}

/// Not a test: the code that the processes below run. It does nothing unless one of them started it.
#[tokio::test]
async fn host_process() {
    let Ok(plan) = std::env::var(PLAN) else { return };
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    let mut connect = PgConnectOptions::from_str(&plan.url).unwrap();
    if let Some(dir) = plan.through {
        connect = connect.socket(dir);
    }
    // Shorter than usual, so that the test of a permanent outage takes less time.
    let patience = Duration::from_secs(3);
    let pool = PgPoolOptions::new()
        .max_connections(6)
        .acquire_timeout(patience)
        .connect_with(connect)
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let (mut asked, token) = (signal(SignalKind::terminate()).unwrap(), stop.clone());
    tokio::spawn(async move {
        asked.recv().await;
        token.cancel();
    });
    let options = WorkerOptions {
        name: format!("host:{}", std::process::id()),
        slots: BTreeMap::from([("tool".to_owned(), plan.slots)]),
        beat: plan.beat,
        dead_after: plan.dead_after,
        poll: Duration::from_millis(100),
        drain: plan.drain,
        ..WorkerOptions::default()
    };
    run_worker(Queue::new(pool.clone()), tools(&pool), options, stop).await.unwrap();
}

/// A worker process that is killed when the test ends.
pub struct Host(Child);

impl Host {
    pub fn start(bench: &Bench, plan: Plan) -> Self {
        let plan = Plan { url: bench.url.clone(), ..plan };
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hosts::host_process", "--nocapture"])
            .env(PLAN, serde_json::to_string(&plan).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }

    pub async fn terminate(&self) {
        let pid = self.0.id().expect("still running").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    }

    /// Waits for the process's own end.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        tokio::time::timeout(limit, self.0.wait()).await.expect("the process ends in time").unwrap()
    }
}

impl Bench {
    /// Waits until the job's attempt has started and recorded its child process; returns the child's id.
    pub async fn child_of(&self, job: Uuid) -> u32 {
        let noted = async || {
            sqlx::query_scalar::<_, String>(
                "SELECT what FROM effects WHERE job_id = $1 AND what LIKE 'child:%' ORDER BY n DESC LIMIT 1",
            )
            .bind(job)
            .fetch_optional(&self.pool)
            .await
            .unwrap()
        };
        eventually("a child process", async || noted().await.is_some()).await;
        noted().await.unwrap()["child:".len()..].parse().unwrap()
    }
}

/// Does the process still run? A zombie does not.
pub async fn is_running(pid: u32) -> bool {
    let found = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().await.unwrap();
    let state = String::from_utf8_lossy(&found.stdout);
    !state.trim().is_empty() && !state.trim_start().starts_with('Z')
}
