//! The lecture and its surroundings: what is put in, what is taken out at the end.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bedel_fetch::FetchPolicy;
use bedel_jobs::cleanup_orphans::CleanupOrphans;
use bedel_jobs::course_sync::CourseSync;
use bedel_jobs::environment::{Context, Settings};
use bedel_jobs::index_transcripts::IndexTranscripts;
use bedel_jobs::installation::installation_of_database;
use bedel_jobs::lecture::{self, Lecture};
use bedel_jobs::registry;
use bedel_jobs::submit::Submit;
use bedel_postgres::testing::TestDatabase;
use bedel_queue::{NewJob, Queue, WorkerOptions, run_worker};
use bedel_recordings::panopto::hosts::FETCH_HOSTS;
use bedel_storage::keys;
use bedel_test_support::{Hold, PgProxy};
use bedel_upstream::{Reply, Upstream, delivery_info};
use bytes::Bytes;
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fake_engine::FakeEngine;
use super::snapshot::files;
use crate::environment::{self, SESSION};
use crate::recordings;

/// Kinds of the stages of a lecture, in order.
pub const STAGES: [&str; 4] = ["submit", "download", "probe", "transcribe"];
/// Kinds that a schedule starts.
pub const CRON: [&str; 3] = ["cleanup-orphans", "course-sync", "index-transcripts"];

/// The same ids in every database, so that what is left can be compared.
pub const LECTURE: Uuid = Uuid::from_u128(1);
const ABANDONED: Uuid = Uuid::from_u128(2);
const STALLED: Uuid = Uuid::from_u128(3);
const FAILED: Uuid = Uuid::from_u128(4);
const NOBODY: Uuid = Uuid::from_u128(5);
const DOCUMENT: Uuid = Uuid::from_u128(6);
const COURSE: Uuid = Uuid::from_u128(7);
pub const USER: Uuid = Uuid::from_u128(8);
/// Completed before there was an index.
const UNINDEXED: Uuid = Uuid::from_u128(9);

/// Longest wait for anything here; the machine may be busy with all other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three seconds of sound and a picture.
pub static RECORDING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::read(recordings::video(directory.path(), 3, "aac", "lecture.mp4")).expect("a recording")
});

pub struct Harness {
    pub ctx: Context,
    pub database: TestDatabase,
    pub upstream: Upstream,
    pub directory: TempDir,
    pub engine: Arc<FakeEngine>,
}

/// Settings shared by the tests and their worker processes.
pub fn settings(upstream: &str) -> Settings {
    let mut settings = environment::settings(FetchPolicy {
        max_bytes: 8 << 20,
        stall_timeout: Duration::from_secs(10),
        ..FetchPolicy::listed(FETCH_HOSTS.map(str::to_owned).into(), vec![upstream.to_owned()])
    });
    settings.tenants = vec![upstream.to_owned()];
    settings.catalogue.url = format!("http://{upstream}/XMLQuery.aspx");
    settings.catalogue.terms = vec!["Fall 2026".to_owned()];
    settings
}

/// Short beats, to keep the tests quick.
pub fn options(kinds: &[&str]) -> WorkerOptions {
    WorkerOptions {
        name: format!("test:{}", std::process::id()),
        slots: kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect(),
        beat: Duration::from_millis(200),
        dead_after: Duration::from_secs(1),
        poll: Duration::from_millis(50),
        drain: Duration::from_secs(20),
        ..WorkerOptions::default()
    }
}

impl Harness {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A database, a storage and an upstream with the rows and files that the jobs need, and no job.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = environment::database().await;
        let upstream = Upstream::start().await;
        upstream.on("/lecture.mp4", [Reply::media(RECORDING.clone())]);
        upstream
            .on(delivery_info::PATH, [delivery_info::ready(&upstream.url("/lecture.mp4"), "Lecture 1", 3.0)]);
        let mut catalogue = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><courses>");
        for (code, title) in COURSES.iter().filter(|(code, _)| *code != STALE) {
            write!(catalogue, "<course><cn>{code}-01</cn><title>{title}</title></course>").expect("text");
        }
        catalogue.push_str("</courses>");
        upstream.on("/XMLQuery.aspx", [Reply::new(200, "text/xml", catalogue)]);

        let directory = tempfile::tempdir().expect("a directory");
        let mut settings = settings(&upstream.host());
        change(&mut settings);
        let engine = Arc::new(FakeEngine::default());
        let pool = database.pool.clone();
        let ctx = environment::create(pool, directory.path(), settings, Some(engine.clone()));
        std::fs::create_dir(&ctx.scratch).expect("scratch");
        let id = installation_of_database(&mut ctx.pool.acquire().await.expect("a connection")).await;
        ctx.storage.ensure_installation(id.expect("an id")).await.expect("a marked storage");
        let harness = Self { ctx: Arc::new(ctx), database, upstream, directory, engine };
        harness.furnish().await;
        harness
    }

    async fn furnish(&self) {
        let page = self.upstream.url(&format!("/Panopto/Pages/Viewer.aspx?id={SESSION}"));
        sqlx::query("INSERT INTO users (id) VALUES ($1)")
            .bind(USER)
            .execute(self.pool())
            .await
            .expect("a user");
        let lectures = [
            (LECTURE, "pending", 0, true),
            (ABANDONED, "completed", 2, false),
            (STALLED, "downloading", 2, true),
            (FAILED, "failed", 2, true),
            (UNINDEXED, "completed", 2, true),
        ];
        for (id, status, hours, linked) in lectures {
            sqlx::query(
                "INSERT INTO lectures (id, course_id, panopto_session_id, panopto_url, stream_url, status, created_at,
                                       audio_storage_key, transcript_storage_key)
                 VALUES ($1, $2, $1::text, $3, '', $4::lecture_status, now() - make_interval(hours => $5),
                         CASE WHEN $4 = 'failed' THEN 'audio/' || $1 || '.m4a' END,
                         CASE WHEN $4 = 'completed' THEN 'transcripts/' || $1 || '.json' END)",
            )
            .bind(id)
            .bind(COURSE)
            .bind(&page)
            .bind(status)
            .bind(hours)
            .execute(self.pool())
            .await
            .expect("a lecture");
            if linked {
                sqlx::query("INSERT INTO user_lectures (user_id, lecture_id) VALUES ($1, $2)")
                    .bind(USER)
                    .bind(id)
                    .execute(self.pool())
                    .await
                    .expect("a link");
            }
        }
        sqlx::query(
            "INSERT INTO documents (id, owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
             VALUES ($1, $2, $3, 'a.pdf', 'documents/' || $1 || '.pdf', 'x', 'application/pdf', 1)",
        )
        .bind(DOCUMENT)
        .bind(USER)
        .bind(COURSE)
        .execute(self.pool())
        .await
        .expect("a document");
        for (code, title) in COURSES.iter().filter(|(code, _)| *code != NEW) {
            let title = if *code == RENAMED { "Before" } else { title };
            sqlx::query("INSERT INTO courses (code, title, is_official) VALUES ($1, $2, true)")
                .bind(code)
                .bind(title)
                .execute(self.pool())
                .await
                .expect("a course");
        }
        let files = [
            keys::audio(ABANDONED),
            keys::transcript_json(ABANDONED),
            format!("audio_tmp/{ABANDONED}/upload"),
            keys::audio(FAILED),
            keys::audio(NOBODY),
            keys::audio_temp(NOBODY, Uuid::from_u128(99)),
        ];
        for key in files {
            self.ctx.storage.put_bytes(&key, Bytes::from_static(b"content")).await.expect("stored");
        }
        let transcript =
            r#"{"language": "en", "segments": [{"start": 1.0, "end": 2.0, "text": "Good morning."}]}"#;
        let key = keys::transcript_json(UNINDEXED);
        self.ctx.storage.put_bytes(&key, Bytes::from_static(transcript.as_bytes())).await.expect("stored");
    }

    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// A new proxy to the database.
    pub fn proxy(&self) -> PgProxy {
        PgProxy::start(&self.pool().connect_options()).expect("a proxy")
    }

    pub async fn enqueue(&self, job: &NewJob) -> Uuid {
        let mut connection = self.pool().acquire().await.expect("a connection");
        bedel_queue::enqueue(&mut connection, job).await.expect("enqueued").id
    }

    /// Enqueues the job of this kind. Later stages are enqueued by earlier ones.
    pub async fn start(&self, kind: &str) {
        match kind {
            "submit" => {
                let job =
                    bedel_jobs::pipeline::stage_job(&Submit { lecture_id: LECTURE }, &self.ctx.settings);
                self.enqueue(&job).await;
            }
            "cleanup-orphans" => {
                self.enqueue(&NewJob::new(&CleanupOrphans { lecture_id: None, dry_run: false })).await;
            }
            "course-sync" => {
                self.enqueue(&CourseSync::default().job()).await;
            }
            "index-transcripts" => {
                self.enqueue(&NewJob::new(&IndexTranscripts::default())).await;
            }
            _ => assert!(STAGES.contains(&kind) && !CRON.contains(&kind), "{kind}"),
        }
    }

    /// A worker in this process, with this context.
    pub fn worker(&self, options: WorkerOptions, ctx: Context) -> Worker {
        let stop = CancellationToken::new();
        let queue = Queue::new(ctx.pool.clone());
        let run = run_worker(queue, registry(ctx), options, stop.clone());
        Worker { stop, task: tokio::spawn(async move { run.await.expect("a worker") }) }
    }

    /// Runs jobs of these kinds in this process until one of `kind` is completed.
    pub async fn work(&self, kinds: &[&str], kind: &str) {
        let worker = self.worker(options(kinds), self.ctx.clone());
        self.until_done(kind).await;
        worker.stop().await;
    }

    /// Waits until a job of this kind is completed and none is live.
    pub async fn until_done(&self, kind: &str) {
        self.until_state(kind, "completed").await;
        eventually(&format!("no {kind} job is live"), async || !self.is_live(kind).await).await;
    }

    pub async fn is_live(&self, kind: &str) -> bool {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM queue.jobs WHERE kind = $1 AND state IN ('available', 'running'))",
        )
        .bind(kind)
        .fetch_one(self.pool())
        .await
        .expect("an answer")
    }

    pub async fn until_state(&self, kind: &str, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(kind, state).await == 0 {
            if Instant::now() >= deadline {
                let why = self.lecture().await.and_then(|lecture| lecture.error_message);
                panic!("no {kind} job is {state}: {why:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn count(&self, kind: &str, state: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM queue.jobs WHERE kind = $1 AND state::text = $2")
            .bind(kind)
            .bind(state)
            .fetch_one(self.pool())
            .await
            .expect("a count")
    }

    pub async fn lecture(&self) -> Option<Lecture> {
        let mut connection = self.pool().acquire().await.expect("a connection");
        lecture::read(&mut connection, LECTURE).await.expect("the lecture")
    }

    /// The lecture's files in storage, with temporary files and partial writes.
    pub fn files_of_lecture(&self) -> Vec<String> {
        let all = files(&self.directory.path().join("storage"));
        all.into_keys().filter(|key| key.contains(&LECTURE.to_string())).collect()
    }

    /// Files of downloads.
    pub fn downloads(&self) -> Vec<String> {
        files(&self.ctx.downloads).into_keys().filter(|name| name != "clock").collect()
    }

    /// Files in scratch.
    pub fn scratch(&self) -> Vec<String> {
        files(&self.ctx.scratch).into_keys().collect()
    }
}

/// Official courses, in the table or in the catalogue or in both.
const COURSES: [(&str, &str); 7] = [
    ("CSC 101", "One"),
    ("CSC 102", "Two"),
    ("CSC 103", "Three"),
    ("CSC 104", "Four"),
    (RENAMED, "After"),
    (STALE, "Gone"),
    (NEW, "New"),
];
const RENAMED: &str = "CSC 105";
const STALE: &str = "CSC 106";
const NEW: &str = "CSC 107";

/// A worker inside the test's process.
pub struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    /// Lets running attempts end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic");
    }
}

/// Polls until `condition` holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the proxy holds the connection.
pub async fn until_held(what: &str, hold: &mut Hold) {
    assert!(hold.reached(PATIENCE).await, "not in time: {what}");
}
