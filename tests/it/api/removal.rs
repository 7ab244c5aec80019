//! Removing a lecture.

use reqwest::Method;
use uuid::Uuid;

use super::{Answering, App, submission};

const LECTURES: &str = "SELECT count(*) FROM lectures WHERE id = $1";
const LINKS: &str = "SELECT count(*) FROM user_lectures WHERE lecture_id = $1";
const CLEANUPS: &str = "SELECT count(*) FROM queue.jobs WHERE kind = 'cleanup-orphans' AND args::text LIKE '%' || $1::text || '%'";

#[tokio::test]
async fn a_users_removal_is_that_users_alone() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.submit(1, &submission()).await.expect(200);
    let answer = app.delete(0, id).await.expect(204);
    assert_eq!(answer.text, "");
    assert_eq!(app.count(LINKS, id).await, 1);
    assert_eq!(app.live_jobs(id).await, 1);
    app.get(0, &format!("/api/lectures/{id}")).await.problem(404, "not_found");
    app.get(1, &format!("/api/lectures/{id}")).await.expect(200);
    app.delete(0, id).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_last_removal_takes_row_and_work_and_enqueues_the_clean_up() {
    let app = App::start().await;
    let answer = app.submit(0, &submission()).await.expect(201);
    let (id, job) = (answer.id("lecture_id"), answer.id("job_id"));
    app.set_running(id).await;
    app.delete(0, id).await.expect(204);
    assert_eq!(app.count(LECTURES, id).await, 0);
    assert_eq!(app.count(LINKS, id).await, 0);
    assert_eq!(
        app.text("SELECT state::text FROM queue.jobs WHERE id = $1", job).await.as_deref(),
        Some("cancelled")
    );
    assert_eq!(
        app.count(CLEANUPS, id).await,
        2,
        "one look now, and one behind an attempt that may still write"
    );
    app.delete(0, id).await.problem(404, "not_found");
    // Submitted again it is a new lecture.
    assert_ne!(app.submit(0, &submission()).await.expect(201).id("lecture_id"), id);
}

#[tokio::test]
async fn an_admins_removal_is_for_everybody() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.submit(1, &submission()).await.expect(200);
    let path = format!("/api/lectures/{id}");
    app.admin(Method::DELETE, &path).answer().await.expect(204);
    assert_eq!(app.count(LECTURES, id).await, 0);
    assert_eq!(
        app.count(CLEANUPS, id).await,
        2,
        "one look now, and one behind an attempt that may still write"
    );
    app.admin(Method::DELETE, &path).answer().await.problem(404, "not_found");
    app.admin(Method::DELETE, &format!("/api/lectures/{}", Uuid::new_v4()))
        .answer()
        .await
        .problem(404, "not_found");
}
