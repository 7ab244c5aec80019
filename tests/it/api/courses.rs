//! Courses: all, selected ones, and user-made ones.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Answering, App};

const COURSES: &str = "/api/courses";
const MINE: &str = "/api/user/courses";

async fn official(app: &App, code: &str) -> Uuid {
    sqlx::query_scalar(
        "INSERT INTO courses (code, title, is_official) VALUES ($1, 'Title', true) RETURNING id",
    )
    .bind(code)
    .fetch_one(&app.pool)
    .await
    .expect("a course")
}

async fn make(app: &App, user: usize, body: &Value) -> Answer {
    app.request(user, Method::POST, COURSES).json(body).answer().await
}

async fn choose(app: &App, user: usize, course: Uuid) -> Answer {
    app.request(user, Method::POST, &format!("{MINE}/{course}")).answer().await
}

async fn drop_choice(app: &App, user: usize, course: Uuid) -> Answer {
    app.request(user, Method::DELETE, &format!("{MINE}/{course}")).answer().await
}

#[tokio::test]
async fn all_courses_are_listed_by_code_with_the_field_the_extension_reads() {
    let app = App::start().await;
    let id = official(&app, "CSC 173").await;
    official(&app, "AST 111").await;
    let listed = app.get(0, COURSES).await.expect(200).json();
    let codes: Vec<_> = listed.as_array().unwrap().iter().map(|course| course["code"].clone()).collect();
    assert_eq!(codes, [json!("AST 111"), json!("CSC 173")]);
    let expected = json!({
        "id": id, "code": "CSC 173", "title": "Title", "name": "Title", "instructor": null, "is_official": true,
    });
    assert_eq!(listed[1], expected);
}

#[tokio::test]
async fn a_user_makes_a_course_that_all_can_choose() {
    let app = App::start().await;
    let answer =
        make(&app, 0, &json!({ "code": " csc  999 ", "title": " Mine ", "instructor": "Ada" })).await;
    let made = answer.expect(201).json();
    assert_eq!(
        (&made["code"], &made["title"], &made["instructor"]),
        (&json!("CSC 999"), &json!("Mine"), &json!("Ada"))
    );
    assert_eq!(made["is_official"], false);
    make(&app, 1, &json!({ "code": "CSC 999", "title": "Other" })).await.problem(409, "conflict");
    assert_eq!(app.get(1, COURSES).await.expect(200).json(), json!([made]));
}

#[tokio::test]
async fn a_bad_course_is_refused_field_by_field() {
    let app = App::start().await;
    let long = "x".repeat(501);
    let refused = make(&app, 0, &json!({ "code": "\u{0}", "title": long, "instructor": 7 }))
        .await
        .problem(422, "invalid");
    let fields: Vec<_> =
        refused["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, [json!("instructor"), json!("code"), json!("title")]);
    make(&app, 0, &json!({ "title": "x" })).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_choice_is_made_once_and_is_ones_own() {
    let app = App::start().await;
    let id = official(&app, "CSC 173").await;
    assert_eq!(choose(&app, 0, id).await.expect(201).json(), json!({ "message": "Course added" }));
    assert_eq!(choose(&app, 0, id).await.expect(200).json(), json!({ "message": "Course already added" }));
    assert_eq!(app.get(0, MINE).await.expect(200).json()[0]["id"], json!(id));
    assert_eq!(app.get(1, MINE).await.expect(200).json(), json!([]));
    drop_choice(&app, 1, id).await.problem(404, "not_found");
    drop_choice(&app, 0, id).await.expect(204);
    drop_choice(&app, 0, id).await.problem(404, "not_found");
    choose(&app, 0, Uuid::new_v4()).await.problem(404, "not_found");
    assert_eq!(app.get(0, MINE).await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn a_course_lists_the_callers_items_newest_first() {
    let app = App::start().await;
    let course = Uuid::new_v4();
    let mut ids = Vec::new();
    for session in ["aaaaaaaa-4a48-4dcc-96ba-0befba08a0fb", "bbbbbbbb-4a48-4dcc-96ba-0befba08a0fb"] {
        let body = json!({ "course_id": course, "panopto_url": super::viewer(session) });
        ids.push(app.submit(0, &body).await.expect(201).id("lecture_id"));
    }
    let listed = app.get(0, &format!("{COURSES}/{course}/lectures")).await.expect(200).json();
    let found: Vec<_> = listed.as_array().unwrap().iter().map(|lecture| lecture["id"].clone()).collect();
    assert_eq!(found, [json!(ids[1]), json!(ids[0])]);
    assert_eq!(listed[0], app.get(0, &format!("/api/lectures/{}", ids[1])).await.expect(200).json());
    for path in ["lectures", "documents"] {
        assert_eq!(app.get(1, &format!("{COURSES}/{course}/{path}")).await.expect(200).json(), json!([]));
    }
}
