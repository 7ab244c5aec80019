//! Liveness, readiness, stopping.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{Answering, App};

#[tokio::test]
async fn health_needs_no_token() {
    let app = App::start().await;
    for path in ["/api/health", "/livez", "/readyz"] {
        let answer = app.anonymous(Method::GET, path).answer().await.expect(200);
        assert_eq!(answer.json(), json!({ "status": "ok" }));
    }
    app.anonymous(Method::HEAD, "/livez").answer().await.expect(200);
}

#[tokio::test]
async fn a_missing_storage_is_not_ready() {
    let app = App::start().await;
    std::fs::rename(app.directory.path().join("storage"), app.directory.path().join("away")).unwrap();
    let answer = app.anonymous(Method::GET, "/readyz").answer().await;
    assert!(answer.problem(503, "unavailable")["detail"].as_str().unwrap().contains("storage"));
    app.anonymous(Method::GET, "/livez").answer().await.expect(200);
}

#[tokio::test]
async fn stopping_answers_what_waits_and_ends() {
    let mut app = App::start().await;
    let waiting = app.admin(Method::POST, "/api/admin/courses/sync?wait=60").answer();
    let stop = app.stop.clone();
    let jobs = app.pool.clone();
    let started = Instant::now();
    let (answer, ()) = tokio::join!(waiting, async move {
        // Once its job exists, the request is in its handler.
        loop {
            let count: i64 =
                sqlx::query_scalar("SELECT count(*) FROM queue.jobs").fetch_one(&jobs).await.unwrap();
            if count == 1 {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "no job");
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    answer.expect(202);
    let ended = tokio::time::timeout(Duration::from_secs(15), &mut app.server).await;
    ended.expect("the server ends").expect("no panic");
    assert!(started.elapsed() < Duration::from_secs(30));
}
