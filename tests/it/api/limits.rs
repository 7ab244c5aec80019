//! Rate limits of submissions.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use super::{Answer, Answering, App, COURSE, submission};

/// Refused with a time to retry.
#[track_caller]
fn refused(answer: &Answer) {
    answer.problem(429, "rate_limited");
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn too_many_submissions_get_a_retry_time() {
    let app = App::limited_to(3).await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    for _ in 0..2 {
        app.submit(0, &submission()).await.expect(200);
    }
    refused(&app.submit(0, &submission()).await);
    let posts = ["retry", "cancel"].map(|what| format!("/api/lectures/{lecture}/{what}"));
    for path in posts {
        refused(&app.request(0, Method::POST, &path).answer().await);
    }
    for (path, field) in [("/api/documents/upload", "file"), ("/api/lectures/audio", "audio")] {
        let file = Part::bytes(b"%PDF-1.7\n".as_slice()).file_name("a.pdf");
        let form = Form::new().text("course_id", COURSE).part(field, file);
        refused(&app.request(0, Method::POST, path).multipart(form).answer().await);
    }
    assert!(!app.directory.path().join("storage/documents").exists(), "a refused upload was stored");
    // Reading is free, and other users have their own limit.
    app.get(0, &format!("/api/lectures/{lecture}")).await.expect(200);
    app.submit(1, &submission()).await.expect(200);
}

#[tokio::test]
async fn a_batch_costs_more_than_a_submission() {
    let app = App::limited_to(10).await;
    let batch = json!({ "lectures": [submission()] });
    let send = || app.request(0, Method::POST, "/api/lectures/batch").json(&batch);
    send().answer().await.expect(200);
    refused(&send().answer().await);
    let course = json!({ "code": "ABC 1", "title": "T" });
    refused(&app.request(0, Method::POST, "/api/courses").json(&course).answer().await);
}
