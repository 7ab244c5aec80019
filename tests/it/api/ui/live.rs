//! Live updates.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use sqlx::postgres::PgPoolOptions;
use tokio::time::timeout;
use uuid::Uuid;

use super::super::{App, submission};
use super::Browser;

/// Longest wait for an event. The server polls about every second, and checks sessions every tenth time.
const SOON: Duration = Duration::from_secs(20);

/// An open stream.
pub(super) struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    pub(super) async fn open(browser: &Browser<'_>, topics: &str) -> Self {
        Self::with_query(browser, &format!("topics={topics}")).await
    }

    /// With the query that a page has.
    pub(super) async fn with_query(browser: &Browser<'_>, query: &str) -> Self {
        let request = browser.request(Method::GET, &format!("/ui/live?{query}"));
        let response = request.header("sec-fetch-site", "same-origin").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// Reads until `part` arrives.
    pub(super) async fn wait_for(&mut self, part: &str) {
        let arrives = async {
            while !self.text.contains(part) {
                let chunk =
                    self.response.chunk().await.unwrap().unwrap_or_else(|| panic!("the end; {}", self.text));
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let arrived = timeout(SOON, arrives).await;
        assert!(arrived.is_ok(), "{part} did not arrive");
        self.text.clear();
    }

    /// Reads for so long and finds no event.
    pub(super) async fn hears_nothing(&mut self, time: Duration) {
        assert!(self.text.is_empty());
        let reads = async {
            loop {
                let chunk = self.response.chunk().await.unwrap().expect("no end");
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        assert!(timeout(time, reads).await.is_err());
        assert!(!self.text.contains("event:"), "{}", self.text);
    }

    /// Reads to the end of the stream.
    async fn wait_for_end(&mut self) {
        let ends = async { while self.response.chunk().await.unwrap_or_default().is_some() {} };
        timeout(SOON, ends).await.expect("the stream did not end");
    }
}

#[tokio::test]
async fn changes_arrive_as_pieces_of_the_page() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let browser = Browser::of_user(&app, 0).await;
    let mut stream =
        Stream::open(&browser, &format!("lecture:{lecture}:pending-submit,lectures:{lecture}")).await;
    stream.wait_for(&format!("id=\"state-{lecture}\"")).await;
    let started = Instant::now();
    app.set_running(lecture).await;
    stream.wait_for("25 %").await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    app.set_failed(lecture).await;
    stream.wait_for(&format!("event: lecture-{lecture}")).await;
    let mut other = submission();
    other["panopto_url"] = super::super::viewer(&Uuid::new_v4().to_string()).into();
    app.submit(0, &other).await.expect(201);
    stream.wait_for("event: lectures\n").await;
    app.delete(0, lecture).await.expect(204);
    stream.wait_for(&format!("event: lecture-{lecture}")).await;
}

#[tokio::test]
async fn foreign_lectures_and_jobs_stay_hidden() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let other = Browser::of_user(&app, 1).await;
    let mut stream = Stream::open(&other, &format!("lecture:{lecture}")).await;
    // As for a removed one: the page asks, and gets 404.
    stream.wait_for(&format!("event: lecture-{lecture}")).await;
    other.get("/ui/live?topics=jobs").await.expect(403);
    other.get("/ui/live?topics=nonsense").await.expect(422);
    Browser::new(&app).get("/ui/live?topics=lectures").await.expect(303);
}

#[tokio::test]
async fn streams_end_with_the_session_and_the_server() {
    let app = App::start().await;
    let (browser, other) = (Browser::of_user(&app, 0).await, Browser::of_user(&app, 0).await);
    let mut tabs = [Stream::open(&browser, "lectures").await, Stream::open(&browser, "lectures").await];
    let mut others = Stream::open(&other, "lectures").await;
    browser.post("/ui/sign-out", &[]).await.expect(303);
    for tab in &mut tabs {
        tab.wait_for("event: signed-out").await;
        tab.wait_for_end().await;
    }
    app.submit(0, &submission()).await.expect(201);
    others.wait_for("event: lectures").await;

    let browser = Browser::of_user(&app, 0).await;
    let mut stream = Stream::open(&browser, "lectures").await;
    sqlx::query("DELETE FROM sessions").execute(&app.pool).await.unwrap();
    stream.wait_for("event: signed-out").await;
    stream.wait_for_end().await;

    let browser = Browser::of_user(&app, 0).await;
    stream = Stream::open(&browser, "lectures").await;
    app.stop.cancel();
    stream.wait_for_end().await;
}

/// Fifty tabs of ten users cost as much as one: at most two statements a second.
#[tokio::test]
async fn fifty_tabs_cost_two_statements_a_second() {
    let database = App::with_users(0).await;
    // As in production: a pool that pings before each use would count as another statement.
    let options = PgPoolOptions::new().test_before_acquire(false);
    let app = App::over(options.connect_lazy_with((*database.pool.connect_options()).clone()), 10).await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    for user in 1..10 {
        app.submit(user, &submission()).await.expect(200);
    }
    let mut streams = Vec::new();
    for user in 0..10 {
        let browser = Browser::of_user(&app, user).await;
        for _ in 0..5 {
            streams.push(Stream::open(&browser, &format!("lecture:{lecture}:pending-submit,lectures")).await);
        }
    }
    for stream in &mut streams {
        stream.wait_for("state-").await;
    }
    // A server process may report its statements ten seconds late, so the first windows may hold earlier ones.
    let mut spent = Vec::new();
    for _ in 0..4 {
        let before = transactions(&app).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        spent.push(transactions(&app).await - before);
    }
    // Each window takes 7.1 seconds and holds the count itself.
    let least = spent.iter().min().copied().unwrap_or_default();
    assert!((5..=16).contains(&least), "{spent:?} statements in 7 s each");
    let started = Instant::now();
    app.set_running(lecture).await;
    for stream in &mut streams {
        stream.wait_for("25 %").await;
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

/// Finished transactions of this test's database. Outside a transaction each statement is one.
pub(super) async fn transactions(app: &App) -> i64 {
    // Backends report at most once a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    sqlx::query_scalar("SELECT (xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = current_database()")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}
