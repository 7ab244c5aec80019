//! Resubmission, by the state of the lecture.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{App, COURSE, SESSION, submission, viewer};

const STREAM: &str = "https://media.example.org/new.mp4";

fn with_stream(title: &str) -> Value {
    json!({ "course_id": COURSE, "panopto_url": viewer(SESSION), "stream_url": STREAM, "title": title })
}

async fn stream_and_title(app: &App, id: Uuid) -> (String, Option<String>) {
    sqlx::query_as("SELECT stream_url, title FROM lectures WHERE id = $1")
        .bind(id)
        .fetch_one(&app.pool)
        .await
        .expect("a row")
}

async fn job_row(app: &App, job: Uuid) -> Value {
    sqlx::query_scalar("SELECT to_jsonb(jobs) FROM queue.jobs WHERE id = $1")
        .bind(job)
        .fetch_one(&app.pool)
        .await
        .expect("a row")
}

const IS_DUE: &str =
    "SELECT count(*) FROM queue.jobs WHERE id = $1 AND state = 'available' AND run_at <= now()";

#[tokio::test]
async fn a_waiting_job_is_pulled_forward_and_gets_the_new_stream() {
    let app = App::start().await;
    let first = app.submit(0, &submission()).await.expect(201);
    let (id, job) = (first.id("lecture_id"), first.id("job_id"));
    app.set_waiting(id).await;
    let asks = "SELECT count(*) FROM queue.jobs WHERE id = $1 AND group_key = 'rochester.hosted.panopto.com'";
    assert_eq!(app.count(asks, job).await, 1, "it will ask for the stream");
    let again = app.submit(1, &with_stream("Week 1")).await.expect(200);
    assert_eq!(again.id("job_id"), job);
    assert_eq!(app.count(asks, job).await, 0, "with a stream it waits for no host");
    assert_eq!(app.count(IS_DUE, job).await, 1);
    assert_eq!(stream_and_title(&app, id).await, (STREAM.to_owned(), Some("Week 1".to_owned())));
    // An existing title stays.
    app.submit(1, &with_stream("Another")).await.expect(200);
    assert_eq!(stream_and_title(&app, id).await.1.as_deref(), Some("Week 1"));
}

#[tokio::test]
async fn a_running_attempt_is_not_disturbed() {
    let app = App::start().await;
    let first = app.submit(0, &submission()).await.expect(201);
    let (id, job) = (first.id("lecture_id"), first.id("job_id"));
    app.set_running(id).await;
    let before = job_row(&app, job).await;
    let again = app.submit(1, &with_stream("Week 1")).await.expect(200);
    assert_eq!(again.id("job_id"), job);
    assert_eq!(job_row(&app, job).await, before);
    assert_eq!(stream_and_title(&app, id).await.0, STREAM);
    assert_eq!(app.live_jobs(id).await, 1);
}

#[tokio::test]
async fn a_submission_without_a_stream_keeps_the_one_that_is_there() {
    let app = App::start().await;
    let id = app.submit(0, &with_stream("Week 1")).await.expect(201).id("lecture_id");
    app.submit(1, &submission()).await.expect(200);
    assert_eq!(stream_and_title(&app, id).await, (STREAM.to_owned(), Some("Week 1".to_owned())));
}

#[tokio::test]
async fn a_failed_lecture_starts_again_with_the_new_stream() {
    let app = App::start().await;
    let first = app.submit(0, &submission()).await.expect(201);
    let id = first.id("lecture_id");
    app.set_failed(id).await;
    let again = app.submit(1, &with_stream("Week 1")).await.expect(200);
    assert_eq!(again.json()["status"], "pending");
    assert_eq!(again.json()["created"], false);
    assert_ne!(again.id("job_id"), first.id("job_id"));
    assert_eq!(app.live_jobs(id).await, 1);
    assert_eq!(stream_and_title(&app, id).await.0, STREAM);
    assert_eq!(app.text("SELECT error_message FROM lectures WHERE id = $1", id).await, None);
}

#[tokio::test]
async fn a_lecture_without_a_live_job_is_not_left_dead() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.execute("DELETE FROM queue.jobs WHERE subject = $1", id).await;
    let again = app.submit(0, &submission()).await.expect(200);
    assert_eq!(app.live_jobs(id).await, 1);
    assert_eq!(app.count("SELECT count(*) FROM queue.jobs WHERE id = $1", again.id("job_id")).await, 1);
}

#[tokio::test]
async fn a_completed_lecture_is_only_linked() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.set_completed(id).await;
    let row = "SELECT to_jsonb(lectures)::text FROM lectures WHERE id = $1";
    let before = app.text(row, id).await;
    let again = app.submit(1, &with_stream("Week 1")).await.expect(200).json();
    assert_eq!(again, json!({ "lecture_id": id, "status": "completed", "created": false, "job_id": null }));
    assert_eq!(app.text(row, id).await, before);
    assert_eq!(app.live_jobs(id).await, 0);
    assert_eq!(app.get(1, &format!("/api/lectures/{id}")).await.expect(200).json()["has_transcript"], true);
}
