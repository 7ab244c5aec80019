//! 500 lectures end while their workers are killed and their transactions are rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bedel_jobs::environment::Context;
use bedel_jobs::webhook::subscription::Scope;
use bedel_jobs::{lecture, registry};
use bedel_queue::{
    Attempt, Backoff, Commit, End, Job, JobError, NewJob, Policy, Queue, WorkerOptions, run_worker,
};
use bedel_upstream::Reply;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lab::{HOOK, Lab, eventually, options, settings};
use crate::environment;

const LECTURES: usize = 500;
const KILLS: usize = 12;
const CONFIGURATION: &str = "BEDEL_TEST_ENDS";

/// Ends a lecture as `transcribe` does, by the same functions. Three of ten commits fail after everything is written.
#[derive(Debug, Serialize, Deserialize)]
struct EndLecture {
    lecture_id: Uuid,
    fails: bool,
}

impl Job for EndLecture {
    const KIND: &'static str = "end-lecture";
    type Context = Context;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            max_attempts: 100,
            max_crashes: 100,
            backoff: Backoff { first: Duration::from_millis(20), max: Duration::from_millis(50) },
            ..Policy::default()
        }
    }

    async fn run(&self, _: &Context, _: &Attempt) -> Result<(), JobError> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if self.fails { Err(JobError::fatal("gone", "The recording is gone.")) } else { Ok(()) }
    }

    async fn commit(
        &self,
        _: &Context,
        _: &Attempt,
        (): &(),
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        lecture::lock(tx, self.lecture_id).await?;
        let jobs = lecture::complete(tx, self.lecture_id, "transcripts/x.json").await?;
        if rand::random_ratio(3, 10) {
            bedel_queue::enqueue_many(tx, &jobs).await?;
            return Err(JobError::retry("rolled-back", "the commit is rolled back on purpose"));
        }
        Ok(jobs.into_iter().fold(Commit::done(), Commit::then))
    }

    async fn ended(ctx: &Context, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        lecture::fail(tx, end, &ctx.settings).await
    }
}

/// The worker processes of this test. It does nothing in a normal run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_worker() {
    let Ok(value) = std::env::var(CONFIGURATION) else { return };
    let value: Value = serde_json::from_str(&value).expect("what to be");
    let url = PgConnectOptions::from_str(value["url"].as_str().expect("a URL")).expect("a URL");
    let pool = PgPoolOptions::new().max_connections(6).connect_lazy_with(url);
    let directory = value["directory"].as_str().expect("a directory");
    let ctx = Arc::new(environment::create(pool.clone(), directory.as_ref(), settings(), None));
    let options = WorkerOptions {
        slots: [("end-lecture".to_owned(), 8), ("deliver-webhook".to_owned(), 4)].into(),
        ..options(4)
    };
    let registry = registry(ctx).register::<EndLecture>();
    run_worker(Queue::new(pool), registry, options, CancellationToken::new()).await.expect("a worker");
}

/// A worker process that is killed when it is dropped.
struct Process(Child);

impl Process {
    fn start(lab: &Lab) -> Self {
        let value = json!({ "url": lab.database.url, "directory": lab.directory.path() });
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "webhooks::ends::ending_worker", "--nocapture"])
            .env(CONFIGURATION, value.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("a process"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_lectures_are_reported_under_kills_and_rollbacks_and_nothing_else_is() {
    let lab = Lab::new().await;
    lab.receiver.on(HOOK, [Reply::json("{}")]);
    let user = lab.user().await;
    lab.subscribe(user, Scope::Own, HOOK).await;
    let mut jobs = Vec::new();
    for number in 0..LECTURES {
        let lecture_id = lab.lecture(user, "downloading").await;
        jobs.push(NewJob::new(&EndLecture { lecture_id, fails: number % 5 == 0 }).subject(lecture_id));
    }
    lab.enqueue(&jobs).await;

    let ended = "SELECT count(*) FROM lectures WHERE status IN ('completed', 'failed')";
    let mut processes = vec![Process::start(&lab), Process::start(&lab)];
    for kill in 0..KILLS {
        // Each kill comes while some lectures have ended and others have not.
        let goal = i64::try_from(LECTURES * kill / (KILLS + 1)).unwrap();
        eventually(&format!("{goal} lectures ended"), async || lab.count(ended).await > goal).await;
        processes.remove(0);
        processes.push(Process::start(&lab));
    }
    let pending = "SELECT count(*) FROM queue.jobs WHERE kind IN ('end-lecture', 'deliver-webhook')
                       AND state IN ('available', 'running')";
    eventually("everything ended", async || lab.count(pending).await == 0).await;
    drop(processes);

    let rolled_back = "SELECT count(*) FROM queue.failed_attempts WHERE class = 'rolled-back'";
    let crashed = "SELECT count(*) FROM queue.failed_attempts WHERE class = 'crashed'";
    let (rolled_back, crashed) = (lab.count(rolled_back).await, lab.count(crashed).await);
    assert!(rolled_back > 50 && crashed > 0, "{rolled_back} rollbacks, {crashed} crashes");

    // By lecture, the ids of the messages that came and the types that they had.
    let mut seen: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for request in lab.received() {
        let body: Value = serde_json::from_str(&request.body).expect("JSON");
        let lecture = body["data"]["lecture_id"].as_str().expect("a lecture").to_owned();
        let event = body["type"].as_str().expect("a type").to_owned();
        let id = request.header("webhook-id").expect("an id").to_owned();
        seen.entry(lecture).or_default().insert((id, event));
    }
    let rows: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, 'lecture.' || status::text FROM lectures")
        .fetch_all(lab.pool())
        .await
        .unwrap();
    let mut ids = BTreeSet::new();
    for (lecture, event) in &rows {
        let messages = seen.get(&lecture.to_string());
        let messages: Vec<_> = messages.into_iter().flatten().collect();
        assert_eq!(messages.len(), 1, "{lecture} ended by {event}: {messages:?}");
        assert_eq!(messages[0].1, *event);
        ids.insert(messages[0].0.clone());
    }
    assert_eq!((rows.len(), seen.len(), ids.len()), (LECTURES, LECTURES, LECTURES));
    let stored: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM webhook_messages WHERE state = 'delivered'")
        .fetch_all(lab.pool())
        .await
        .unwrap();
    assert_eq!(stored.iter().map(Uuid::to_string).collect::<BTreeSet<_>>(), ids);
    println!(
        "{} requests for {LECTURES} lectures, {rolled_back} rollbacks, {crashed} crashes",
        lab.received().len()
    );
}
