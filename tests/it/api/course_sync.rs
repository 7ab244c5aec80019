//! The course sync on an admin's request. The job has its own tests.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Answering, App};

const SYNC: &str = "/api/admin/courses/sync";

async fn sync(app: &App, query: &str, body: Value) -> Answer {
    app.admin(Method::POST, &format!("{SYNC}{query}")).json(&body).answer().await
}

/// Ends the sync like a worker, as soon as the job exists.
async fn end_when_it_appears(app: &App, state: &'static str, reason: Option<&str>, result: Option<Value>) {
    let started = Instant::now();
    loop {
        let done = sqlx::query(
            "UPDATE queue.jobs SET state = $1::queue.job_state, reason = $2, result = $3, finalized_at = now()
             WHERE kind = 'course-sync' AND state = 'available'",
        )
        .bind(state)
        .bind(reason)
        .bind(&result)
        .execute(&app.pool)
        .await
        .expect("a statement");
        if done.rows_affected() == 1 {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no job appeared");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_counts_are_answered_when_the_job_ends_in_time() {
    let app = App::start().await;
    let counts = json!({
        "created": 3, "updated": 2, "unchanged": 1, "deleted": 0, "retained": 0, "total": 6,
        "terms": ["Fall 2026"], "deletion_skipped": false,
    });
    let (answer, ()) = tokio::join!(
        sync(&app, "", json!({ "terms": ["Fall 2026"] })),
        end_when_it_appears(&app, "completed", None, Some(counts.clone())),
    );
    let mut body = answer.expect(200).json();
    let job: Uuid = serde_json::from_value(body.as_object_mut().unwrap().remove("job_id").unwrap()).unwrap();
    assert_eq!(body, counts);
    assert_eq!(
        app.count("SELECT count(*) FROM queue.jobs WHERE id = $1 AND args->'terms' = '[\"Fall 2026\"]'", job)
            .await,
        1
    );
}

#[tokio::test]
async fn a_sync_that_takes_longer_is_202() {
    let app = App::start().await;
    let started = Instant::now();
    // An empty body means a sync with the configured terms.
    let answer = app.admin(Method::POST, &format!("{SYNC}?wait=1")).answer().await.expect(202);
    assert!((0.5..20.0).contains(&started.elapsed().as_secs_f64()));
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    // A second request joins the live job.
    assert_eq!(sync(&app, "?wait=0", json!({})).await.expect(202).json(), body);
    // A request with other settings does not.
    let other = sync(&app, "?wait=0", json!({ "dry_run": true })).await.problem(409, "conflict");
    assert!(other["detail"].as_str().unwrap().contains(body["job_id"].as_str().unwrap()));
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM queue.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(jobs, 1);
}

/// Ends the sync like a worker after a failed last attempt.
async fn discard_when_it_appears(app: &App, class: &str, reason: &str) {
    let started = Instant::now();
    loop {
        let done = sqlx::query(
            "WITH failed AS (
                 INSERT INTO queue.failed_attempts (job_id, attempt, class, message)
                 SELECT id, 1, 'crashed', 'the worker died' FROM queue.jobs WHERE state = 'available'
                 UNION ALL
                 SELECT id, 2, $1, $2 FROM queue.jobs WHERE state = 'available')
             UPDATE queue.jobs SET state = 'discarded', reason = $2, finalized_at = now() WHERE state = 'available'",
        )
        .bind(class)
        .bind(reason)
        .execute(&app.pool)
        .await
        .expect("a statement");
        if done.rows_affected() == 1 {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no job appeared");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_sync_that_could_not_reach_the_catalogue_is_503_with_the_reason() {
    let app = App::start().await;
    let (answer, ()) =
        tokio::join!(sync(&app, "", json!({})), discard_when_it_appears(&app, "catalogue", "it answers 500"));
    let body = answer.problem(503, "unavailable");
    assert!(body["detail"].as_str().unwrap().contains("it answers 500"));
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_sync_that_a_retry_cannot_fix_is_409_with_the_reason() {
    let app = App::start().await;
    let (discarded, ()) =
        tokio::join!(sync(&app, "", json!({})), discard_when_it_appears(&app, "bad-term", "no such term"));
    let (cancelled, ()) = tokio::join!(
        sync(&app, "", json!({})),
        end_when_it_appears(&app, "cancelled", Some("not today"), None),
    );
    for (answer, reason) in [(discarded, "no such term"), (cancelled, "not today")] {
        let body = answer.problem(409, "conflict");
        assert!(body["detail"].as_str().unwrap().contains(reason), "{body}");
        assert!(answer.headers.get("retry-after").is_none());
    }
}

#[tokio::test]
async fn it_is_for_admins_and_its_input_is_checked() {
    let app = App::start().await;
    app.request(0, Method::POST, SYNC).json(&json!({})).answer().await.problem(403, "forbidden");
    for query in ["?wait=61", "?wait=-1", "?wait=soon", "?wait=", "?wait=1.5"] {
        let body = sync(&app, query, json!({})).await.problem(422, "invalid");
        assert_eq!(body["errors"][0]["field"], "wait");
    }
    for (field, body) in [
        ("terms", json!({ "terms": "Fall 2026" })),
        ("terms", json!({ "terms": [1] })),
        ("terms", json!({ "terms": ["Fall 2026", "Fall\u{0}2026"] })),
        ("dry_run", json!({ "dry_run": "yes" })),
    ] {
        let body = sync(&app, "?wait=0", body).await.problem(422, "invalid");
        assert_eq!(body["errors"][0]["field"], field);
    }
    sync(&app, "?wait=1&wait=2", json!({})).await.problem(400, "bad_request");
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM queue.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(jobs, 0);
}
