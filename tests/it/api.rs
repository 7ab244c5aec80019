//! The HTTP API over real HTTP on a real database. No worker runs: jobs stay where a request put them, and
//! tests that need another state write it.

mod audio;
mod auth;
mod batch;
mod bulk;
mod cancel;
mod cors;
mod course_sync;
mod courses;
mod described;
mod documents;
mod errors;
mod events;
mod fleet;
mod health;
mod inputs;
mod jobs;
mod lectures;
mod limits;
mod listing;
mod metrics;
mod options;
mod privacy;
mod races;
mod removal;
mod resubmission;
mod retry;
mod search;
mod stale;
mod transcript;
mod ui;
mod webhooks;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bedel::api::{ApiState, Authenticator, Jwt, Limits, Origins, Token, Tokens, serve};
use bedel_fetch::{FetchPolicy, Fetcher};
use bedel_jobs::installation::installation_of_database;
use bedel_jobs::{Environment, Settings};
use bedel_media::MediaTools;
use bedel_postgres::testing;
use bedel_recordings::catalogue::CatalogueSettings;
use bedel_recordings::panopto::hosts::FETCH_HOSTS;
use bedel_storage::Storage;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const COURSE: &str = "0b5f7a64-4f5c-4d5e-9c59-2c5a2f0a7d11";
const SESSION: &str = "26b3ae9e-4a48-4dcc-96ba-0befba08a0fb";

const MAX_AUDIO_BYTES: u64 = 2 * 1024 * 1024;
const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024;

/// A configured admin, with any credential.
const ADMIN: Uuid = Uuid::from_u128(0xad11);

const PANOPTO: &str = "https://rochester.hosted.panopto.com";
const EXTENSION: &str = "chrome-extension://abcdefghijklmnopabcdefghijklmnop";

/// Viewer link of a recording.
fn viewer(session: &str) -> String {
    format!("https://rochester.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={session}")
}

/// A submission of the recording that most tests use.
fn submission() -> Value {
    json!({ "course_id": COURSE, "panopto_url": viewer(SESSION) })
}

/// A running API with its own database and storage.
struct App {
    base: String,
    client: Client,
    pool: PgPool,
    storage: Storage,
    directory: TempDir,
    users: Vec<Uuid>,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    fn id(&self, field: &str) -> Uuid {
        self.json()[field]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{}", self.text))
    }

    /// Checks a problem against the contract and returns its body.
    #[track_caller]
    fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["code"], code, "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        assert!(body["type"].is_string() && body["title"].is_string(), "{body}");
        assert_eq!(body.get("errors").is_some(), status == 422, "{body}");
        body
    }

    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

impl App {
    /// Two ordinary users (0 and 1) and an admin.
    async fn start() -> Self {
        Self::with_users(2).await
    }

    async fn with_users(users: usize) -> Self {
        Self::with_users_and_jwt(users, None).await
    }

    async fn with_users_and_jwt(users: usize, jwt: Option<Jwt>) -> Self {
        Self::with_database(users, jwt, 0).await
    }

    /// Two users with a submission limit per minute.
    async fn limited_to(per_minute: u32) -> Self {
        Self::with_database(2, None, per_minute).await
    }

    async fn with_database(users: usize, jwt: Option<Jwt>, per_minute: u32) -> Self {
        let database = testing::database("program", |pool| async move {
            bedel::migrate::run(&pool).await.expect("the migrations");
        })
        .await;
        let mut connection = database.pool.acquire().await.expect("a connection");
        let installation = installation_of_database(&mut connection).await.expect("an id");
        drop(connection);
        let app = Self::with(database.pool, users, jwt, per_minute).await;
        app.storage.ensure_installation(installation).await.expect("a storage of its own");
        app
    }

    /// On the test's own pool.
    async fn over(pool: PgPool, users: usize) -> Self {
        Self::with(pool, users, None, 0).await
    }

    /// With optional JWTs and limits.
    async fn with(pool: PgPool, users: usize, jwt: Option<Jwt>, per_minute: u32) -> Self {
        // A second test in the process finds both installed. The first test to reach a log statement decides
        // whether it is enabled, perhaps with no collector. So a collector for all statements is installed
        // from the start.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().expect("a directory");
        let storage = Storage::local(&directory.path().join("storage")).expect("a storage");
        let settings = settings();
        let environment = Environment {
            pool: pool.clone(),
            storage: storage.clone(),
            scratch: directory.path().join("scratch"),
            downloads: directory.path().join("downloads"),
            fetcher: Fetcher::new(settings.fetch.clone()).expect("a fetcher"),
            webhook_fetcher: Fetcher::new(settings.webhooks.clone()).expect("a fetcher"),
            media: MediaTools::find().expect("ffmpeg and ffprobe"),
            engines: None,
            settings,
        };
        let users: Vec<Uuid> = (0..users).map(|_| Uuid::new_v4()).collect();
        let mut tokens: Vec<Token> =
            users.iter().enumerate().map(|(index, user)| Token::new(&token(index), *user, false)).collect();
        tokens.push(Token::new("admin-token", Uuid::new_v4(), true));
        let limits = Limits::new(MAX_AUDIO_BYTES, MAX_DOCUMENT_BYTES, per_minute);
        let authenticator = Authenticator::new(Tokens::new(tokens), jwt, HashSet::from([ADMIN]));
        let state = ApiState::new(Arc::new(environment), authenticator, limits, origins());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, state, stop.clone()));
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(90)).build().expect("a client");
        Self { base, client, pool, storage, directory, users, stop, server }
    }

    fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    fn request(&self, user: usize, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(token(user))
    }

    fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth("admin-token")
    }

    async fn get(&self, user: usize, path: &str) -> Answer {
        self.request(user, Method::GET, path).answer().await
    }

    async fn submit(&self, user: usize, body: &Value) -> Answer {
        self.request(user, Method::POST, "/api/lectures/download").json(body).answer().await
    }

    async fn retry(&self, user: usize, lecture: Uuid) -> Answer {
        self.request(user, Method::POST, &format!("/api/lectures/{lecture}/retry")).answer().await
    }

    async fn delete(&self, user: usize, lecture: Uuid) -> Answer {
        self.request(user, Method::DELETE, &format!("/api/lectures/{lecture}")).answer().await
    }

    async fn count(&self, sql: &'static str, id: Uuid) -> i64 {
        sqlx::query_scalar(sql).bind(id).fetch_one(&self.pool).await.expect("a row")
    }

    async fn execute(&self, sql: &'static str, id: Uuid) {
        let done = sqlx::query(sql).bind(id).execute(&self.pool).await.expect("a statement");
        assert!(done.rows_affected() > 0, "nothing changed: {sql}");
    }

    async fn text(&self, sql: &'static str, id: Uuid) -> Option<String> {
        sqlx::query_scalar(sql).bind(id).fetch_one(&self.pool).await.expect("a row")
    }

    async fn live_jobs(&self, lecture: Uuid) -> i64 {
        self.count(
            "SELECT count(*) FROM queue.jobs WHERE subject = $1 AND state IN ('available', 'running')",
            lecture,
        )
        .await
    }

    /// Marks the lecture's live job as claimed.
    async fn set_running(&self, lecture: Uuid) {
        self.execute(
            "UPDATE queue.jobs SET state = 'running', lease = gen_random_uuid(), worker_id = gen_random_uuid(),
                    attempted_at = now(), attempt = attempt + 1, worker = 'somewhere:1', progress = 0.25
             WHERE subject = $1 AND state = 'available'",
            lecture,
        )
        .await;
    }

    /// Delays the lecture's live job by an hour.
    async fn set_waiting(&self, lecture: Uuid) {
        self.execute(
            "UPDATE queue.jobs SET run_at = now() + interval '1 hour' WHERE subject = $1 AND state = 'available'",
            lecture,
        )
        .await;
    }

    /// Discards the lecture's live job and changes the lecture like the hook would.
    async fn set_failed(&self, lecture: Uuid) {
        self.execute(
            "UPDATE queue.jobs SET state = 'discarded', finalized_at = now(), lease = NULL, worker_id = NULL,
                    reason = 'the recording is gone'
             WHERE subject = $1 AND state IN ('available', 'running')",
            lecture,
        )
        .await;
        self.execute(
            "UPDATE lectures SET status = 'failed', error_message = 'it is gone' WHERE id = $1",
            lecture,
        )
        .await;
    }

    /// Completes the lecture, like all four jobs would.
    async fn set_completed(&self, lecture: Uuid) {
        self.execute(
            "UPDATE queue.jobs SET state = 'completed', finalized_at = now()
             WHERE subject = $1 AND state IN ('available', 'running')",
            lecture,
        )
        .await;
        self.execute(
            "UPDATE lectures SET status = 'completed', duration_seconds = 61, audio_storage_key = 'audio/' || id || '.m4a',
                    transcript_storage_key = 'transcripts/' || id || '.json'
             WHERE id = $1",
            lecture,
        )
        .await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// CORS origins.
fn origins() -> Origins {
    format!("{PANOPTO},{EXTENSION}").parse().expect("origins")
}

fn token(user: usize) -> String {
    format!("token-of-user-{user}")
}

fn settings() -> Settings {
    let hosts = [FETCH_HOSTS.as_slice(), &[".example.org"]].concat().into_iter().map(str::to_owned).collect();
    Settings {
        tenants: Vec::new(),
        fetch: FetchPolicy {
            max_bytes: 1024 * 1024,
            stall_timeout: Duration::from_secs(5),
            ..FetchPolicy::listed(hosts, Vec::new())
        },
        webhooks: FetchPolicy::public(vec!["receiver.internal".parse().expect("an exception")]),
        catalogue: CatalogueSettings {
            url: "http://127.0.0.1:9/".to_owned(),
            terms: Vec::new(),
            sync_instructors: false,
        },
        max_download_bytes: 1 << 30,
        keep_failed_audio_days: 0,
        give_up_after: None,
    }
}

/// Sends a request and reads the whole answer.
trait Answering {
    async fn answer(self) -> Answer;
}

impl Answering for RequestBuilder {
    async fn answer(self) -> Answer {
        let response = self.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a body") }
    }
}
