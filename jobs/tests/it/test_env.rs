//! A database, storage in a temporary directory, real tools, and helpers to add rows and files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_fetch::FetchPolicy;
use bedel_jobs::Settings;
use bedel_jobs::environment::Context;
use bedel_jobs::installation::installation_of_database;
use bedel_jobs::lecture::{self, Lecture};
use bedel_postgres::testing::TestDatabase;
use bedel_queue::{Job, NewJob, Queue, Registry, WorkerOptions};
use bedel_recordings::panopto::hosts::FETCH_HOSTS;
use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::environment;

pub struct TestEnv {
    pub ctx: Context,
    pub directory: TempDir,
    _database: TestDatabase,
}

/// How a job ended.
#[derive(Debug)]
pub struct Ended {
    pub state: String,
    pub result: Option<Value>,
    /// Class of the last failed attempt.
    pub class: Option<String>,
}

impl TestEnv {
    pub async fn open() -> Self {
        Self::with(|_| ()).await
    }

    /// With changed settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = environment::database().await;
        let directory = tempfile::tempdir().unwrap();
        let mut settings = environment::settings(FetchPolicy {
            max_bytes: 1 << 20,
            stall_timeout: Duration::from_secs(5),
            ..FetchPolicy::listed(FETCH_HOSTS.map(str::to_owned).into(), Vec::new())
        });
        change(&mut settings);
        let ctx = Arc::new(environment::create(database.pool.clone(), directory.path(), settings, None));
        std::fs::create_dir(&ctx.scratch).unwrap();
        let id = installation_of_database(&mut database.pool.acquire().await.unwrap()).await.unwrap();
        ctx.storage.ensure_installation(id).await.unwrap();
        Self { ctx, directory, _database: database }
    }

    /// A lecture of a course that exists, linked to a user, in this status.
    pub async fn lecture(&self, status: &'static str) -> Uuid {
        let id = sqlx::query_scalar(
            "INSERT INTO lectures (course_id, panopto_url, stream_url, status)
             VALUES ($2, 'https://example.hosted.panopto.com/', '', $1::lecture_status) RETURNING id",
        )
        .bind(status)
        .bind(self.course().await)
        .fetch_one(&self.ctx.pool)
        .await
        .unwrap();
        self.link(id).await;
        id
    }

    pub async fn course(&self) -> Uuid {
        sqlx::query_scalar(
            "INSERT INTO courses (code, title) VALUES (gen_random_uuid()::text, 'C') RETURNING id",
        )
        .fetch_one(&self.ctx.pool)
        .await
        .unwrap()
    }

    pub async fn user(&self) -> Uuid {
        let id = Uuid::new_v4();
        self.execute("INSERT INTO users (id) VALUES ($1)", id).await;
        id
    }

    pub async fn link(&self, lecture_id: Uuid) {
        sqlx::query("INSERT INTO user_lectures (user_id, lecture_id) VALUES ($1, $2)")
            .bind(self.user().await)
            .bind(lecture_id)
            .execute(&self.ctx.pool)
            .await
            .unwrap();
    }

    /// A statement about one id.
    pub async fn execute(&self, sql: &'static str, id: Uuid) {
        sqlx::query(sql).bind(id).execute(&self.ctx.pool).await.unwrap();
    }

    /// Runs without the `updated_at` trigger, to age a row.
    pub async fn execute_without_triggers(&self, sql: &'static str, id: Uuid) {
        let mut tx = self.ctx.pool.begin().await.unwrap();
        sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await.unwrap();
        sqlx::query(sql).bind(id).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn row(&self, id: Uuid) -> Option<Lecture> {
        lecture::read(&mut self.ctx.pool.acquire().await.unwrap(), id).await.unwrap()
    }

    pub async fn put(&self, key: &str) {
        self.ctx.storage.put_bytes(key, Bytes::from_static(b"content")).await.unwrap();
    }

    /// Makes the file older than the grace period.
    pub fn age(&self, key: &str) {
        let path = self.ctx.storage.local_path(key).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified - Duration::from_secs(7200)).unwrap();
    }

    pub async fn has(&self, key: &str) -> bool {
        self.ctx.storage.exists(key).await.unwrap()
    }

    pub async fn enqueue(&self, job: &NewJob) -> Uuid {
        let mut tx = self.ctx.pool.begin().await.unwrap();
        let enqueued = bedel_queue::enqueue(&mut tx, job).await.unwrap();
        tx.commit().await.unwrap();
        enqueued.id
    }

    /// The live jobs of a lecture: kinds and args.
    pub async fn live(&self, lecture_id: Uuid) -> Vec<(String, Value)> {
        sqlx::query_as(
            "SELECT kind, args FROM queue.jobs WHERE unique_key = $1 AND state IN ('available', 'running')",
        )
        .bind(bedel_jobs::pipeline::unique_key(lecture_id))
        .fetch_all(&self.ctx.pool)
        .await
        .unwrap()
    }

    /// Runs jobs of kind `J` until this one has ended.
    pub async fn work<J: Job<Context = Context>>(&self, job: &NewJob) -> Ended {
        let id = self.enqueue(job).await;
        let stop = CancellationToken::new();
        let registry = Registry::new(self.ctx.clone()).register::<J>();
        let options = WorkerOptions {
            slots: [(J::KIND.to_owned(), 1)].into(),
            poll: Duration::from_millis(50),
            beat: Duration::from_millis(100),
            ..WorkerOptions::default()
        };
        let queue = Queue::new(self.ctx.pool.clone());
        let worker = tokio::spawn(bedel_queue::run_worker(queue, registry, options, stop.clone()));
        let start = Instant::now();
        let ended = loop {
            let row: (String, Option<Value>, Option<String>) = sqlx::query_as(
                "SELECT state::text, result,
                     (SELECT class FROM queue.failed_attempts WHERE job_id = id ORDER BY attempt DESC LIMIT 1)
                 FROM queue.jobs WHERE id = $1",
            )
            .bind(id)
            .fetch_one(&self.ctx.pool)
            .await
            .unwrap();
            let (state, result, class) = row;
            if !["available", "running"].contains(&state.as_str()) {
                break Ended { state, result, class };
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the job does not end: {state}, {class:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        stop.cancel();
        worker.await.unwrap().unwrap();
        ended
    }
}
