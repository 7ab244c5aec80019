//! Environment of a synchronisation: a server that behaves like CDCS at its worst, a database and a worker.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use bedel_fetch::FetchPolicy;
use bedel_jobs::course_sync::CourseSync;
use bedel_jobs::environment::{Context, Settings};
use bedel_postgres::testing::TestDatabase;
use bedel_queue::inspect::{self, JobState, JobView};
use bedel_queue::{Queue, Registry, WorkerOptions, enqueue, run_worker};
use bedel_recordings::catalogue::CatalogueSettings;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::environment;

pub const FALL: &str = "Fall 2026";
pub const SPRING: &str = "Spring 2027";

/// The server's answer for a term.
#[derive(Clone)]
pub enum Answer {
    Body(StatusCode, Vec<u8>),
    /// Announces all of it and sends half.
    Half(Vec<u8>),
    /// A body over the limit, generated on the fly.
    Endless,
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

pub struct CatalogueEnv {
    ctx: Context,
    answers: Answers,
    pub database: TestDatabase,
    _directory: tempfile::TempDir,
}

/// An entry of the catalogue: code with section, title, instructors.
pub type Entry<'a> = (&'a str, &'a str, &'a str);

pub fn document(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<courses>\n");
    for (code, title, instructors) in entries {
        writeln!(
            text,
            "<course><cn>{code}</cn><title>{title} </title><instructors>{instructors}</instructors></course>"
        )
        .expect("text");
    }
    text.push_str("</courses>");
    text.into_bytes()
}

async fn answer(
    State(answers): State<Answers>,
    Query(query): Query<HashMap<String, String>>,
) -> axum::response::Response {
    assert_eq!((query["id"].as_str(), query["type"].as_str()), ("XML", "Lecture"));
    let answer = answers.lock().expect("answers").get(&query["term"]).cloned();
    let response = axum::response::Response::builder();
    let made = match answer {
        None => response.body(Body::from("<courses></courses>")),
        Some(Answer::Body(status, bytes)) => response.status(status).body(Body::from(bytes)),
        Some(Answer::Half(bytes)) => {
            let half = bytes[..bytes.len() / 2].to_vec();
            let pieces =
                futures::stream::iter([Ok(half), Err(std::io::Error::other("the server fell over"))]);
            response.header("content-length", bytes.len()).body(Body::from_stream(pieces))
        }
        Some(Answer::Endless) => {
            let piece = vec![b' '; 1024 * 1024];
            let pieces = futures::stream::iter((0..80).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
            response.body(Body::from_stream(pieces))
        }
    };
    made.expect("a response")
}

impl CatalogueEnv {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut CatalogueSettings)) -> Self {
        let database = environment::database().await;
        let answers = Answers::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new().route("/XMLQuery.aspx", get(answer)).with_state(answers.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });

        let mut catalogue = CatalogueSettings {
            url: format!("http://{address}/XMLQuery.aspx"),
            terms: vec![FALL.to_owned(), SPRING.to_owned()],
            sync_instructors: false,
        };
        change(&mut catalogue);
        let fetch = FetchPolicy {
            max_bytes: 1024,
            stall_timeout: Duration::from_secs(10),
            ..FetchPolicy::listed(Vec::new(), vec![address.to_string()])
        };
        let directory = tempfile::tempdir().expect("a directory");
        let settings = Settings { catalogue, ..environment::settings(fetch) };
        let ctx = Arc::new(environment::create(database.pool.clone(), directory.path(), settings, None));
        Self { ctx, answers, database, _directory: directory }
    }

    pub fn serve(&self, term: &str, entries: &[Entry<'_>]) {
        self.answer(term, Answer::Body(StatusCode::OK, document(entries)));
    }

    pub fn answer(&self, term: &str, answer: Answer) {
        self.answers.lock().expect("answers").insert(term.to_owned(), answer);
    }

    /// Enqueues the job, lets a worker run it and returns it after its first attempt.
    pub async fn attempt(&self, args: &CourseSync) -> JobView {
        let queue = Queue::new(self.database.pool.clone());
        let mut tx = self.database.pool.begin().await.expect("a transaction");
        let id = enqueue(&mut tx, &args.job()).await.expect("enqueued").id;
        tx.commit().await.expect("a commit");
        let stop = CancellationToken::new();
        let options = WorkerOptions {
            slots: BTreeMap::from([("course-sync".to_owned(), 1)]),
            poll: Duration::from_millis(20),
            ..WorkerOptions::default()
        };
        let registry = Registry::new(self.ctx.clone()).register::<CourseSync>();
        let worker = tokio::spawn(run_worker(queue, registry, options, stop.clone()));
        let deadline = Instant::now() + Duration::from_secs(60);
        let job = loop {
            let mut connection = self.database.pool.acquire().await.expect("a connection");
            let job = inspect::job(&mut connection, id).await.expect("the row").expect("the job");
            if !matches!(job.state, JobState::Available | JobState::Running) || !job.failures.is_empty() {
                break job;
            }
            assert!(Instant::now() < deadline, "the job did not end: {job:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        stop.cancel();
        worker.await.expect("no panic").expect("a clean stop");
        job
    }

    /// Runs the job and returns its result.
    pub async fn sync_with(&self, args: &CourseSync) -> Value {
        let job = self.attempt(args).await;
        assert_eq!(job.state, JobState::Completed, "{job:?}");
        job.result.expect("a result")
    }

    pub async fn sync(&self) -> Value {
        self.sync_with(&CourseSync::default()).await
    }

    /// Every course as `code|title|instructor|official`, by code.
    pub async fn courses(&self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT concat_ws('|', code, title, coalesce(instructor, '-'), is_official) FROM courses ORDER BY code",
        )
        .fetch_all(&self.database.pool)
        .await
        .expect("courses")
    }

    /// All rows with all columns.
    pub async fn rows(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT courses::text FROM courses ORDER BY id")
            .fetch_all(&self.database.pool)
            .await
            .expect("rows")
    }

    pub async fn course(&self, code: &str) -> Uuid {
        sqlx::query_scalar("SELECT id FROM courses WHERE code = $1")
            .bind(code)
            .fetch_one(&self.database.pool)
            .await
            .expect("the course")
    }

    pub async fn user_course(&self, code: &str, title: &str, instructor: Option<&str>) {
        sqlx::query("INSERT INTO courses (code, title, instructor) VALUES ($1, $2, $3)")
            .bind(code)
            .bind(title)
            .bind(instructor)
            .execute(&self.database.pool)
            .await
            .expect("a course");
    }
}
