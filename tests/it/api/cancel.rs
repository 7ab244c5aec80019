//! Cancelling a lecture.

use reqwest::Method;
use uuid::Uuid;

use super::{Answer, Answering, App, submission};

async fn cancel(app: &App, user: usize, lecture: Uuid) -> Answer {
    app.request(user, Method::POST, &format!("/api/lectures/{lecture}/cancel")).answer().await
}

#[tokio::test]
async fn a_running_lecture_is_cancelled_and_can_be_retried() {
    let app = App::start().await;
    let submitted = app.submit(0, &submission()).await.expect(201);
    let (lecture, job) = (submitted.id("lecture_id"), submitted.id("job_id"));
    app.set_running(lecture).await;
    let cancelled = cancel(&app, 0, lecture).await.expect(202);
    assert_eq!((cancelled.id("lecture_id"), cancelled.id("job_id")), (lecture, job));
    let state = app.text("SELECT state::text FROM queue.jobs WHERE id = $1", job).await;
    assert_eq!(state.as_deref(), Some("cancelled"));
    let shown = app.get(0, &format!("/api/lectures/{lecture}/status")).await.expect(200).json();
    assert_eq!(shown["status"], "failed");
    assert!(shown["error_message"].as_str().unwrap().contains("retry"), "{shown}");
    cancel(&app, 0, lecture).await.problem(409, "conflict");
    app.retry(0, lecture).await.expect(202);
    assert_eq!(app.live_jobs(lecture).await, 1);
}

#[tokio::test]
async fn a_shared_lecture_is_not_cancelled_by_one_user() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.submit(1, &submission()).await.expect(200);
    let refused = cancel(&app, 0, lecture).await.problem(409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("Other users"), "{refused}");
    assert_eq!(app.live_jobs(lecture).await, 1);
    app.admin(Method::POST, &format!("/api/lectures/{lecture}/cancel")).answer().await.expect(202);
    assert_eq!(app.live_jobs(lecture).await, 0);
}

#[tokio::test]
async fn a_completed_lecture_and_anothers_are_left_alone() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    cancel(&app, 1, lecture).await.problem(404, "not_found");
    cancel(&app, 0, Uuid::new_v4()).await.problem(404, "not_found");
    app.set_completed(lecture).await;
    cancel(&app, 0, lecture).await.problem(409, "conflict");
}
