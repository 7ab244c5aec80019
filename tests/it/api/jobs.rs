//! A job's story.

use reqwest::Method;
use serde_json::json;

use super::{Answering, App, submission};

#[tokio::test]
async fn the_linked_users_and_admins_read_it() {
    let app = App::start().await;
    let submitted = app.submit(0, &submission()).await.expect(201);
    let (lecture, job) = (submitted.id("lecture_id"), submitted.id("job_id"));
    app.execute(
        "INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
         VALUES ($1, 1, 'somewhere:1', 'network', 'the connection was lost')",
        job,
    )
    .await;
    let path = format!("/api/jobs/{job}");
    let shown = app.get(0, &path).await.expect(200).json();
    assert_eq!(shown["id"], json!(job));
    assert_eq!(shown["kind"], "submit");
    assert_eq!(shown["state"], "available");
    assert_eq!(shown["args"], json!({ "lecture_id": lecture }));
    assert_eq!(shown["failures"][0]["class"], "network");
    assert_eq!(app.admin(Method::GET, &path).answer().await.expect(200).json(), shown);

    app.get(1, &path).await.problem(404, "not_found");
    app.submit(1, &submission()).await.expect(200);
    app.get(1, &path).await.expect(200);
}

#[tokio::test]
async fn a_job_without_a_subject_is_for_admins() {
    let app = App::start().await;
    let sync = app.admin(Method::POST, "/api/admin/courses/sync?wait=0").answer().await.expect(202);
    let path = format!("/api/jobs/{}", sync.id("job_id"));
    assert_eq!(app.admin(Method::GET, &path).answer().await.expect(200).json()["kind"], "course-sync");
    app.get(0, &path).await.problem(404, "not_found");
}
