//! Requests that meet.

use futures::future::join_all;
use uuid::Uuid;

use super::{App, submission};

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
        // Whoever was first, the second user has a lecture that is worked on.
        let theirs = submitted.id("lecture_id");
        assert_eq!(submitted.json()["created"], theirs != id, "round {round}");
        assert_eq!(app.live_jobs(theirs).await, 1, "round {round}");
        app.get(1, &format!("/api/lectures/{theirs}")).await.expect(200);
        let gone: i64 = i64::from(theirs == id);
        assert_eq!(app.count("SELECT count(*) FROM lectures WHERE id = $1", id).await, gone, "round {round}");
        app.delete(1, theirs).await.expect(204);
    }
    // No work is left for lectures that are gone.
    let left: Vec<Uuid> = sqlx::query_scalar(
        "SELECT subject FROM queue.jobs WHERE kind <> 'cleanup-orphans' AND state IN ('available', 'running')",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(left, Vec::<Uuid>::new());
}
