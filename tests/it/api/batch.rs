//! Batches of lectures.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Answering, App, COURSE, SESSION, viewer};

async fn batch(app: &App, lectures: &[Value]) -> Answer {
    let body = json!({ "lectures": lectures });
    app.request(0, Method::POST, "/api/lectures/batch").json(&body).answer().await
}

fn lecture(session: Uuid) -> Value {
    json!({ "course_id": COURSE, "panopto_url": viewer(&session.to_string()) })
}

#[tokio::test]
async fn a_batch_accepts_good_lectures_and_explains_bad_ones() {
    let app = App::start().await;
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let bad = json!({ "course_id": COURSE, "panopto_url": "https://example.org/" });
    let answer = batch(&app, &[lecture(one), bad, json!("no object"), lecture(two), lecture(one)]).await;
    let results = answer.expect(200).json()["results"].clone();
    assert_eq!(results[0]["created"], true);
    assert_eq!(results[1]["error"]["code"], "invalid");
    assert_eq!(results[1]["error"]["errors"][0]["field"], "panopto_url");
    assert_eq!(results[2]["error"]["code"], "bad_request");
    assert_eq!(results[3]["created"], true);
    assert_eq!(results[4]["created"], false);
    assert_eq!(results[4]["lecture_id"], results[0]["lecture_id"]);
    assert_eq!(results.as_array().unwrap().len(), 5);
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE user_id = $1", app.users[0]).await, 2);
}

#[tokio::test]
async fn a_batch_of_five_hundred_lets_others_pass() {
    let app = App::start().await;
    let lectures: Vec<Value> = (0..500).map(|_| lecture(Uuid::new_v4())).collect();
    let results = batch(&app, &lectures).await.expect(200).json()["results"].clone();
    assert!(results.as_array().unwrap().iter().all(|result| result["created"] == true));
    let priorities: Vec<(i16, i64)> =
        sqlx::query_as("SELECT priority, count(*) FROM queue.jobs GROUP BY priority ORDER BY priority")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(priorities, [(2, 10), (3, 490)]);
    let body = json!({ "course_id": COURSE, "panopto_url": viewer(SESSION) });
    let others = app.submit(1, &body).await.expect(201).id("job_id");
    assert_eq!(app.count("SELECT priority::bigint FROM queue.jobs WHERE id = $1", others).await, 2);
}

#[tokio::test]
async fn a_batch_has_one_to_five_hundred() {
    let app = App::start().await;
    let lectures: Vec<Value> = (0..501).map(|_| lecture(Uuid::new_v4())).collect();
    batch(&app, &lectures).await.problem(422, "invalid");
    batch(&app, &[]).await.problem(422, "invalid");
    app.request(0, Method::POST, "/api/lectures/batch")
        .json(&json!({}))
        .answer()
        .await
        .problem(422, "invalid");
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE user_id = $1", app.users[0]).await, 0);
}
