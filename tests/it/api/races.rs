//! Concurrent requests.

use futures::future::join_all;
use reqwest::Method;
use uuid::Uuid;

use super::{Answering, App, audio, submission};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_first_submissions_at_once_are_one_lecture_fifty_links_one_job() {
    let app = App::with_users(50).await;
    let body = submission();
    let answers = join_all((0..50).map(|user| app.submit(user, &body))).await;
    let created = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    let found = answers.iter().filter(|answer| answer.status.as_u16() == 200).count();
    assert_eq!((created, found), (1, 49));
    let id = answers[0].id("lecture_id");
    let job = answers[0].id("job_id");
    assert!(answers.iter().all(|answer| answer.id("lecture_id") == id && answer.id("job_id") == job));
    let lectures: i64 =
        sqlx::query_scalar("SELECT count(*) FROM lectures").fetch_one(&app.pool).await.unwrap();
    assert_eq!(lectures, 1);
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE lecture_id = $1", id).await, 50);
    assert_eq!(app.count("SELECT count(*) FROM queue.jobs WHERE subject = $1", id).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_submitting_many_times_at_once_is_one_user_one_link() {
    let app = App::start().await;
    let body = submission();
    let answers = join_all((0..20).map(|_| app.submit(0, &body))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 201)));
    let id = answers[0].id("lecture_id");
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE lecture_id = $1", id).await, 1);
    assert_eq!(app.live_jobs(id).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_meets_a_submission_loses_neither() {
    let app = App::start().await;
    let body = submission();
    for round in 0..40 {
        let first = app.submit(0, &body).await;
        let id = first.id("lecture_id");
        let (deleted, submitted) = tokio::join!(app.delete(0, id), app.submit(1, &body));
        deleted.expect(204);
        assert!(matches!(submitted.status.as_u16(), 200 | 201), "round {round}: {}", submitted.text);
        // Whichever request wins, the second user has a lecture in progress.
        let theirs = submitted.id("lecture_id");
        assert_eq!(submitted.json()["created"], theirs != id, "round {round}");
        assert_eq!(app.live_jobs(theirs).await, 1, "round {round}");
        app.get(1, &format!("/api/lectures/{theirs}")).await.expect(200);
        let gone: i64 = i64::from(theirs == id);
        assert_eq!(app.count("SELECT count(*) FROM lectures WHERE id = $1", id).await, gone, "round {round}");
        app.delete(1, theirs).await.expect(204);
    }
    no_work_is_left(&app).await;
}

/// Whichever request wins, a deleted lecture is gone and has no job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_meets_a_retry_or_a_cancellation_wins() {
    let app = App::start().await;
    for round in 0..40 {
        let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
        let what = if round % 2 == 0 { "cancel" } else { "retry" };
        if what == "retry" {
            app.set_failed(id).await;
        }
        let path = format!("/api/lectures/{id}/{what}");
        let other = app.request(0, Method::POST, &path).answer();
        let (deleted, other) = tokio::join!(app.delete(0, id), other);
        deleted.expect(204);
        assert!(matches!(other.status.as_u16(), 202 | 404), "round {round}: {what}: {}", other.text);
        assert_eq!(app.count("SELECT count(*) FROM lectures WHERE id = $1", id).await, 0, "round {round}");
    }
    no_work_is_left(&app).await;
}

/// Whichever request wins, accepted bytes belong to a lecture in progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_meets_an_upload_loses_no_bytes() {
    let app = App::start().await;
    for round in 0..20 {
        let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
        app.set_failed(id).await;
        let upload = audio::upload(&app, 1, audio::form(&audio::metadata(), audio::MP4));
        let (deleted, uploaded) = tokio::join!(app.delete(0, id), upload);
        deleted.expect(204);
        let uploaded = uploaded.expect(200);
        let theirs = uploaded.id("lecture_id");
        assert_eq!(uploaded.json()["audio_used"], true, "round {round}");
        assert_eq!(app.live_jobs(theirs).await, 1, "round {round}");
        let kept = audio::stored(&app).into_iter().filter(|(lecture, _)| *lecture == theirs.to_string());
        assert_eq!(kept.count(), 1, "round {round}");
        app.delete(1, theirs).await.expect(204);
    }
    no_work_is_left(&app).await;
}

/// Jobs of deleted lectures, except clean-ups.
async fn no_work_is_left(app: &App) {
    let left: Vec<Uuid> = sqlx::query_scalar(
        "SELECT subject FROM queue.jobs WHERE kind <> 'cleanup-orphans' AND state IN ('available', 'running')",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(left, Vec::<Uuid>::new());
}
