//! Retrying a lecture.

use reqwest::Method;
use uuid::Uuid;

use super::{Answering, App, submission, viewer};

async fn submitted(app: &App) -> (Uuid, Uuid) {
    let answer = app.submit(0, &submission()).await.expect(201);
    (answer.id("lecture_id"), answer.id("job_id"))
}

#[tokio::test]
async fn a_failed_lecture_gets_a_new_job() {
    let app = App::start().await;
    let (id, job) = submitted(&app).await;
    app.set_failed(id).await;
    let answer = app.retry(0, id).await.expect(202);
    assert_eq!(answer.id("lecture_id"), id);
    assert_ne!(answer.id("job_id"), job);
    assert_eq!(app.live_jobs(id).await, 1);
    assert_eq!(
        app.text("SELECT status::text FROM lectures WHERE id = $1", id).await.as_deref(),
        Some("pending")
    );
}

/// A retry must not overtake users with fewer lectures.
#[tokio::test]
async fn a_retry_waits_behind_users_with_fewer_lectures() {
    let app = App::start().await;
    let priority = "SELECT priority::text FROM queue.jobs WHERE id = $1";
    let (id, _) = submitted(&app).await;
    app.set_failed(id).await;
    for (already, expected) in [(9, "2"), (1, "3")] {
        for _ in 0..already {
            let mut another = submission();
            another["panopto_url"] = viewer(&Uuid::new_v4().to_string()).into();
            app.submit(0, &another).await.expect(201);
        }
        let job = app.retry(0, id).await.expect(202).id("job_id");
        assert_eq!(app.text(priority, job).await.as_deref(), Some(expected));
        app.set_failed(id).await;
    }
    let path = format!("/api/lectures/{id}/retry");
    let job = app.admin(Method::POST, &path).answer().await.expect(202).id("job_id");
    assert_eq!(app.text(priority, job).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_lecture_that_no_job_works_for_gets_one() {
    let app = App::start().await;
    let (id, _) = submitted(&app).await;
    app.execute("DELETE FROM queue.jobs WHERE subject = $1", id).await;
    app.retry(0, id).await.expect(202);
    assert_eq!(app.live_jobs(id).await, 1);
}

#[tokio::test]
async fn a_waiting_job_becomes_due_and_a_due_one_is_answered() {
    let app = App::start().await;
    let (id, job) = submitted(&app).await;
    app.set_waiting(id).await;
    for _ in 0..2 {
        assert_eq!(app.retry(0, id).await.expect(202).id("job_id"), job);
        let due = "SELECT count(*) FROM queue.jobs WHERE id = $1 AND state = 'available' AND run_at <= now()";
        assert_eq!(app.count(due, job).await, 1);
    }
}

#[tokio::test]
async fn a_running_one_is_a_conflict() {
    let app = App::start().await;
    let (id, _) = submitted(&app).await;
    app.set_running(id).await;
    app.retry(0, id).await.problem(409, "conflict");
    assert_eq!(app.live_jobs(id).await, 1);
}

#[tokio::test]
async fn a_completed_one_is_a_conflict() {
    let app = App::start().await;
    let (id, _) = submitted(&app).await;
    app.set_completed(id).await;
    app.retry(0, id).await.problem(409, "conflict");
    assert_eq!(app.live_jobs(id).await, 0);
}

#[tokio::test]
async fn an_admin_may_retry_others_lectures() {
    let app = App::start().await;
    let (id, _) = submitted(&app).await;
    app.set_failed(id).await;
    app.admin(Method::POST, &format!("/api/lectures/{id}/retry")).answer().await.expect(202);
    app.retry(0, Uuid::new_v4()).await.problem(404, "not_found");
    app.admin(Method::POST, &format!("/api/lectures/{}/retry", Uuid::new_v4()))
        .answer()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn many_retries_at_once_make_one_job() {
    let app = App::start().await;
    let (id, _) = submitted(&app).await;
    app.set_failed(id).await;
    let answers = futures::future::join_all((0..20).map(|_| app.retry(0, id))).await;
    let jobs: std::collections::BTreeSet<Uuid> =
        answers.into_iter().map(|answer| answer.expect(202).id("job_id")).collect();
    assert_eq!(jobs.len(), 1);
    assert_eq!(app.live_jobs(id).await, 1);
}
