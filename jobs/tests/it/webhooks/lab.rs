//! A receiver, subscriptions, and a worker that delivers.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_fetch::FetchPolicy;
use bedel_jobs::environment::{Context, Settings};
use bedel_jobs::registry;
use bedel_jobs::webhook::event::Event;
use bedel_jobs::webhook::subscription::{self, NewSubscription, Scope};
use bedel_postgres::testing::TestDatabase;
use bedel_queue::{NewJob, Queue, WorkerOptions, enqueue_many, run_worker};
use bedel_upstream::{Request, Upstream};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::environment;

pub const HOOK: &str = "/hook";

pub struct Lab {
    pub ctx: Context,
    pub database: TestDatabase,
    pub receiver: Upstream,
    pub directory: tempfile::TempDir,
}

/// 127.0.0.1 is an allowed receiver; a receiver may be silent for this long.
pub fn settings() -> Settings {
    let mut settings = environment::settings(FetchPolicy::listed(Vec::new(), Vec::new()));
    settings.webhooks = FetchPolicy {
        stall_timeout: Duration::from_millis(700),
        ..FetchPolicy::public(vec!["127.0.0.1".parse().expect("an exception")])
    };
    settings
}

pub fn options(slots: usize) -> WorkerOptions {
    WorkerOptions {
        slots: [("deliver-webhook".to_owned(), slots)].into(),
        poll: Duration::from_millis(50),
        beat: Duration::from_millis(200),
        dead_after: Duration::from_secs(1),
        ..WorkerOptions::default()
    }
}

impl Lab {
    pub async fn new() -> Self {
        Self::at(Upstream::start().await).await
    }

    pub async fn at(receiver: Upstream) -> Self {
        let database = environment::database().await;
        let directory = tempfile::tempdir().expect("a directory");
        let ctx = environment::create(database.pool.clone(), directory.path(), settings(), None);
        Self { ctx: Arc::new(ctx), database, receiver, directory }
    }

    pub fn pool(&self) -> &PgPool {
        &self.ctx.pool
    }

    pub async fn user(&self) -> Uuid {
        let user = Uuid::new_v4();
        self.execute("INSERT INTO users (id) VALUES ($1)", user).await;
        user
    }

    pub async fn execute(&self, sql: &'static str, id: Uuid) {
        sqlx::query(sql).bind(id).execute(self.pool()).await.expect("a statement");
    }

    /// A subscription of this user to the receiver's path. Returns its id and its secret.
    pub async fn subscribe(&self, user: Uuid, scope: Scope, path: &str) -> (Uuid, String) {
        self.subscribe_url(user, scope, self.receiver.url(path)).await
    }

    pub async fn subscribe_url(&self, user: Uuid, scope: Scope, url: String) -> (Uuid, String) {
        let mut events: Vec<String> =
            Event::OF_LECTURES.iter().map(|event| event.name().to_owned()).collect();
        if scope == Scope::All {
            events.push(Event::JobDiscarded.name().to_owned());
        }
        let mut tx = self.pool().begin().await.expect("a transaction");
        let new = NewSubscription { scope, url, events };
        let made =
            subscription::create(&mut tx, user, &new).await.expect("an answer").expect("below the limit");
        tx.commit().await.expect("a commit");
        (made.0.id, made.1.reveal())
    }

    /// A lecture in this status, linked to the user.
    pub async fn lecture(&self, user: Uuid, status: &'static str) -> Uuid {
        let id = sqlx::query_scalar(
            "INSERT INTO lectures (course_id, panopto_url, stream_url, title, status)
             VALUES (gen_random_uuid(), 'https://example.hosted.panopto.com/', 'https://cdn.test/a.mp4?Signature=hunter2',
                     'Heat pumps', $1::lecture_status) RETURNING id",
        )
        .bind(status)
        .fetch_one(self.pool())
        .await
        .expect("a lecture");
        sqlx::query("INSERT INTO user_lectures (user_id, lecture_id) VALUES ($1, $2)")
            .bind(user)
            .bind(id)
            .execute(self.pool())
            .await
            .expect("a link");
        id
    }

    /// Queues a test message to this subscription. Returns its id.
    pub async fn ping(&self, webhook: Uuid) -> Uuid {
        let mut tx = self.pool().begin().await.expect("a transaction");
        let queued = bedel_jobs::webhook::publish::test(&mut tx, webhook).await.expect("an answer");
        let (id, job) = queued.expect("an enabled webhook");
        bedel_queue::enqueue(&mut tx, &job).await.expect("enqueued");
        tx.commit().await.expect("a commit");
        id
    }

    pub async fn enqueue(&self, jobs: &[NewJob]) {
        enqueue_many(&mut self.pool().acquire().await.expect("a connection"), jobs).await.expect("enqueued");
    }

    pub fn worker(&self) -> Worker {
        self.worker_of(self.ctx.clone(), options(4))
    }

    pub fn worker_of(&self, ctx: Context, options: WorkerOptions) -> Worker {
        let stop = CancellationToken::new();
        let run = run_worker(Queue::new(ctx.pool.clone()), registry(ctx), options, stop.clone());
        Worker { stop, task: tokio::spawn(async move { run.await.expect("a worker") }) }
    }

    pub async fn state(&self, message: Uuid) -> Option<String> {
        sqlx::query_scalar("SELECT state FROM webhook_messages WHERE id = $1")
            .bind(message)
            .fetch_optional(self.pool())
            .await
            .expect("an answer")
    }

    /// Waits until the message is in this state. Pauses between attempts are cut short.
    pub async fn until(&self, message: Uuid, state: &str) {
        eventually(&format!("message {state}"), async || {
            self.skip_pauses().await;
            self.state(message).await.as_deref() == Some(state)
        })
        .await;
    }

    pub async fn skip_pauses(&self) {
        sqlx::raw_sql(
            "UPDATE queue.jobs SET run_at = now() WHERE state = 'available' AND run_at > now();
             UPDATE queue.breakers SET probe_at = now() WHERE probe_at > now()",
        )
        .execute(self.pool())
        .await
        .expect("due");
    }

    /// Status and error class of each attempt, in order.
    pub async fn attempts(&self, message: Uuid) -> Vec<(Option<i32>, Option<String>)> {
        sqlx::query_as("SELECT status, error_class FROM webhook_deliveries WHERE message_id = $1 ORDER BY id")
            .bind(message)
            .fetch_all(self.pool())
            .await
            .expect("the log")
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.expect("a count")
    }

    pub fn received(&self) -> Vec<Request> {
        self.receiver.requests_to(HOOK)
    }
}

/// A worker inside the test's process.
pub struct Worker {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic");
    }
}

/// Polls until `condition` holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The first block of this language in docs/operate/webhooks.md.
fn snippet(language: &str) -> String {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/operate/webhooks.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// True if the documented Python code accepts the request.
pub fn python_accepts(secret: &str, request: &Request, body: &str) -> bool {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<String, serde_json::Value> = headers
        .iter()
        .map(|name| ((*name).to_owned(), request.header(name).expect("a header").into()))
        .collect();
    let code = format!(
        "{}\nimport json, os, sys\nsys.exit(not verify(os.environ['SECRET'], json.loads(os.environ['HEADERS']), \
         os.environ['BODY'].encode()))\n",
        snippet("python")
    );
    let status = Command::new("python3")
        .args(["-c", &code])
        .env("SECRET", secret)
        .env("HEADERS", serde_json::Value::Object(headers).to_string())
        .env("BODY", body)
        .stdin(Stdio::null())
        .status();
    status.expect("python3 runs").success()
}

/// The signature that the documented shell commands compute.
pub fn shell_signature(secret: &str, request: &Request) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("body.json"), &request.body).expect("written");
    let output = Command::new("sh")
        .args(["-euc", &snippet("sh")])
        .current_dir(directory.path())
        .env("SECRET", secret)
        .env("ID", request.header("webhook-id").expect("an id"))
        .env("TIMESTAMP", request.header("webhook-timestamp").expect("a time"))
        .output()
        .expect("sh runs");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
