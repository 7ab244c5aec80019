//! A job's environment for tests: a database, storage and scratch in a temporary directory, real tools.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bedel_fetch::{FetchPolicy, Fetcher, Lookup, SystemLookup};
use bedel_jobs::environment::{Context, Environment, Settings};
use bedel_jobs::lecture::{self, Lecture, LectureStatus};
use bedel_media::MediaTools;
use bedel_postgres::testing::{self, TestDatabase};
use bedel_queue::{Commit, JobError};
use bedel_recordings::catalogue::CatalogueSettings;
use bedel_recordings::panopto::hosts::FETCH_HOSTS;
use bedel_speech::engines::EngineKind;
use bedel_speech::remote::RemoteSettings;
use bedel_speech::{Engine, Engines};
use bedel_storage::Storage;
use bedel_upstream::Upstream;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use url::Url;
use uuid::Uuid;

/// The recording's id in the viewer URLs of these tests.
pub const SESSION: &str = "26b3ae9e-4a48-4dcc-96ba-0befba08a0fb";

/// A machine busy with other tests may stall for a while.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct UpstreamEnv {
    pub ctx: Context,
    pub upstream: Upstream,
    pub storage_dir: PathBuf,
    _database: TestDatabase,
    _directory: tempfile::TempDir,
}

/// A migrated database for one test.
pub async fn database() -> TestDatabase {
    testing::database("jobs", |pool| async move {
        let migrations = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../migrations/versions");
        let migrator = Migrator::new(migrations).await.expect("the migrations");
        migrator.run(&pool).await.expect("a migrated database");
        bedel_queue::migrate(&pool).await.expect("the queue's tables");
    })
    .await
}

/// Nothing configured but these limits.
pub fn settings(fetch: FetchPolicy) -> Settings {
    Settings {
        tenants: Vec::new(),
        fetch,
        webhooks: FetchPolicy::public(Vec::new()),
        catalogue: CatalogueSettings { url: String::new(), terms: Vec::new(), sync_instructors: false },
        max_download_bytes: 256 * 1024 * 1024,
        keep_failed_audio_days: 0,
        give_up_after: None,
    }
}

/// Storage and scratch below `directory`, and real tools.
pub fn create(
    pool: PgPool,
    directory: &Path,
    settings: Settings,
    engine: Option<Arc<dyn Engine>>,
) -> Environment {
    Environment {
        pool,
        storage: Storage::local(&directory.join("storage")).expect("storage"),
        scratch: directory.join("scratch"),
        downloads: directory.join("downloads"),
        fetcher: fetcher(settings.fetch.clone()),
        webhook_fetcher: fetcher(settings.webhooks.clone()),
        media: MediaTools::find().expect("ffmpeg and ffprobe"),
        engines: engine.map(|engine| Engines::new(EngineKind::Embedded, engine)),
        settings,
    }
}

/// Settings of a speech server at this address, polled often.
pub fn speech_server(url: &Url) -> RemoteSettings {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    RemoteSettings {
        url: url.clone(),
        key: None,
        model: "whisper-1".to_owned(),
        language: None,
        max_upload_bytes: 24 << 20,
        patience: 2.0,
        // It may be busy with other tests.
        grace: Duration::from_secs(120),
        poll: Duration::from_millis(50),
        unknown_state: Duration::from_secs(120),
        extra_ca: None,
    }
}

/// Limits for tests: small and short, with the upstream as the only allowed private address.
pub fn fetch_policy(upstream: &Upstream) -> FetchPolicy {
    FetchPolicy {
        max_bytes: 8 * 1024 * 1024,
        stall_timeout: Duration::from_millis(400),
        ..FetchPolicy::listed(FETCH_HOSTS.map(str::to_owned).into(), vec![upstream.host()])
    }
}

pub fn fetcher(settings: FetchPolicy) -> Fetcher {
    fetcher_with(settings, Arc::new(SystemLookup))
}

/// A fetcher that resolves names with `lookup`.
pub fn fetcher_with(settings: FetchPolicy, lookup: Arc<dyn Lookup>) -> Fetcher {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Fetcher::with_lookup(settings, lookup).expect("a client")
}

impl UpstreamEnv {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// With changed settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::at(Upstream::start().await, change).await
    }

    /// With a long stall timeout, for tests without silent servers.
    pub async fn patient() -> Self {
        Self::with(|settings| settings.fetch.stall_timeout = PATIENCE).await
    }

    /// With changed settings and this upstream.
    pub async fn at(upstream: Upstream, change: impl FnOnce(&mut Settings)) -> Self {
        let database = database().await;
        let directory = tempfile::tempdir().expect("a directory");
        let mut settings = Settings { tenants: vec![upstream.host()], ..settings(fetch_policy(&upstream)) };
        change(&mut settings);
        let ctx = Arc::new(create(database.pool.clone(), directory.path(), settings, None));
        let storage_dir = directory.path().join("storage");
        Self { ctx, upstream, storage_dir, _database: database, _directory: directory }
    }

    /// A pending lecture whose page is on the upstream.
    pub async fn lecture(&self, stream_url: &str) -> Uuid {
        let page = self.upstream.url(&format!("/Panopto/Pages/Viewer.aspx?id={SESSION}"));
        sqlx::query_scalar(
            "-- environment::lecture
             INSERT INTO lectures (course_id, panopto_session_id, panopto_url, stream_url)
             VALUES (gen_random_uuid(), $1, $2, $3) RETURNING id",
        )
        .bind(SESSION)
        .bind(page)
        .bind(stream_url)
        .fetch_one(&self.ctx.pool)
        .await
        .expect("a lecture")
    }

    pub async fn row(&self, id: Uuid) -> Option<Lecture> {
        let mut connection = self.ctx.pool.acquire().await.expect("a connection");
        lecture::read(&mut connection, id).await.expect("the row")
    }

    pub async fn status(&self, id: Uuid) -> (LectureStatus, Option<String>) {
        let row = self.row(id).await.expect("the lecture");
        (row.status, row.error_message)
    }

    pub async fn execute(&self, statement: &'static str, id: Uuid) {
        sqlx::query(statement).bind(id).execute(&self.ctx.pool).await.expect("a statement");
    }

    /// The keys in storage, sorted.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for directory in ["audio", "audio_tmp"] {
            keys.extend(
                self.ctx
                    .storage
                    .list(directory)
                    .await
                    .expect("a listing")
                    .into_iter()
                    .map(|stored| stored.key),
            );
        }
        keys.sort();
        keys
    }

    /// Names in the scratch directory.
    pub fn scratch(&self) -> Vec<String> {
        match std::fs::read_dir(&self.ctx.scratch) {
            Ok(entries) => entries
                .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// The decision of an error, as one word and a delay.
pub fn decision(error: &JobError) -> (&str, &'static str) {
    let decision = match error.wait_delay() {
        Some(_) => "wait",
        None if error.is_fatal() => "fatal",
        None => "retry",
    };
    (error.class(), decision)
}

/// The commit's jobs, as text.
pub fn shown(commit: &Commit) -> String {
    format!("{commit:?}")
}
