//! Bulk operations, filters, the overview and the audit log over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Answering, App, submission};

async fn get(app: &App, path: &str) -> Value {
    app.admin(Method::GET, path).answer().await.expect(200).json()
}

async fn post(app: &App, path: &str, body: &Value) -> Answer {
    app.admin(Method::POST, path).json(body).answer().await
}

#[tokio::test]
async fn a_bulk_operation_is_previewed_started_shown_and_stopped() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let body = json!({ "action": "cancel", "filter": { "lecture_id": lecture }, "preview": true });
    let preview = post(&app, "/api/jobs/bulk", &body).await.expect(200).json();
    assert_eq!((&preview["count"], &preview["more"]), (&json!(1), &json!(false)));
    assert_eq!(preview["sample"][0]["subject"], json!(lecture));
    assert_eq!(get(&app, "/api/audit").await["entries"], json!([]), "a preview does nothing");

    let body = json!({ "action": "reprioritise", "priority": 4, "filter": { "kind": "submit", "state": "available" } });
    let started = post(&app, "/api/jobs/bulk", &body).await.expect(202);
    let (id, operation) = (started.id("id"), started.json());
    assert_eq!((&operation["total"], &operation["outcome"]), (&json!(1), &json!(null)));
    assert_eq!(operation["filter"], json!({ "kind": "submit", "state": "available" }));
    assert_eq!(get(&app, &format!("/api/jobs/bulk/{id}")).await, operation);
    let job = get(&app, &format!("/api/jobs/{}", started.id("job_id"))).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("bulk-jobs"), &json!("available")));

    let stop = format!("/api/jobs/bulk/{id}/cancel");
    let stopped = post(&app, &stop, &json!({})).await.expect(202).json();
    assert_eq!((&stopped["outcome"], &stopped["changed"]), (&json!("stopped"), &json!(0)));
    post(&app, &stop, &json!({})).await.problem(409, "conflict");
    let unknown = "/api/jobs/bulk/00000000-0000-4000-8000-000000000009";
    app.admin(Method::GET, unknown).answer().await.problem(404, "not_found");
    let log = get(&app, "/api/audit").await;
    let actions: Vec<_> = log["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["stop-bulk", "end-bulk", "start-bulk"]);
    assert!(
        log["entries"].as_array().unwrap().iter().all(|entry| entry["user_id"] == operation["user_id"]),
        "{log}"
    );
    assert!(operation["user_id"].is_string());
}

#[tokio::test]
async fn a_bulk_operation_needs_an_admin_an_action_and_a_condition() {
    let app = App::start().await;
    let fine = json!({ "action": "retry", "filter": { "state": "discarded" } });
    app.request(0, Method::POST, "/api/jobs/bulk").json(&fine).answer().await.problem(403, "forbidden");
    for (body, field) in [
        (json!({ "action": "retry" }), "filter"),
        (json!({ "action": "retry", "filter": {} }), "filter"),
        (json!({ "action": "burn", "filter": { "kind": "probe" } }), "action"),
        (json!({ "action": "retry", "priority": 2, "filter": { "kind": "probe" } }), "action"),
        (json!({ "action": "reprioritise", "filter": { "kind": "probe" } }), "action"),
        (json!({ "action": "retry", "filter": { "state": "lost" } }), "state"),
        (json!({ "action": "retry", "filter": { "user_id": "me" } }), "user_id"),
        (json!({ "action": "retry", "filter": { "from": "yesterday" } }), "from"),
        (json!({ "action": "retry", "filter": { "kind": "x".repeat(201) } }), "kind"),
    ] {
        let problem = post(&app, "/api/jobs/bulk", &body).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    for path in ["/api/audit", "/api/overview", "/api/activity"] {
        app.get(0, path).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn jobs_are_listed_by_user_host_and_time() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    post(&app, "/api/jobs", &json!({ "kind": "cleanup-orphans" })).await.expect(201);
    let user = app.users[0];
    let other = app.users[1];
    let host = "rochester.hosted.panopto.com";
    for (query, count) in [
        (String::new(), 2),
        (format!("user_id={user}"), 1),
        (format!("user_id={other}"), 0),
        (format!("host={host}"), 1),
        ("queue=maintenance".to_owned(), 1),
        ("error_class=network".to_owned(), 0),
        ("worker=nobody".to_owned(), 0),
        ("from=2020-01-01T00:00:00Z".to_owned(), 2),
        ("until=2020-01-01T00:00:00Z".to_owned(), 0),
    ] {
        let jobs = get(&app, &format!("/api/jobs?{query}")).await;
        assert_eq!(jobs["jobs"].as_array().unwrap().len(), count, "{query}: {jobs}");
    }
    // Another user's lectures stay hidden, whatever the query.
    let path = format!("/api/jobs?lecture_id={lecture}&user_id={user}");
    app.get(1, &path).await.problem(404, "not_found");
    app.admin(Method::GET, "/api/jobs?from=today").answer().await.problem(422, "invalid");
}

#[tokio::test]
async fn the_overview_and_the_activity_are_shown() {
    let app = App::start().await;
    app.submit(0, &submission()).await.expect(201);
    let shown = get(&app, "/api/overview").await;
    let submit = shown["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "submit").unwrap();
    assert_eq!(
        (&submit["due"], &submit["failing"], &submit["at_least"]),
        (&json!(1), &json!(0), &json!(false))
    );
    assert_eq!(shown["queues"][0]["available"], json!(1));
    sqlx::raw_sql(
        "INSERT INTO queue.minutes SELECT until - interval '1 minute', 'submit', 'panopto', 3, 0, 0, 1 FROM queue.counted_minutes",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let activity = get(&app, "/api/activity?minutes=60&step=5").await;
    assert_eq!((&activity["step_seconds"], &activity["steps"][0]["completed"]), (&json!(300), &json!(3)));
    app.admin(Method::GET, "/api/activity?step=0").answer().await.problem(422, "invalid");
}

#[tokio::test]
async fn single_actions_are_recorded_with_who_did_them() {
    let app = App::start().await;
    let submitted = app.submit(0, &submission()).await.expect(201);
    let job = submitted.id("job_id");
    post(&app, &format!("/api/jobs/{job}/cancel"), &json!({})).await.expect(202);
    post(&app, &format!("/api/jobs/{job}/cancel"), &json!({})).await.problem(409, "conflict");
    post(&app, &format!("/api/jobs/{job}/retry"), &json!({})).await.expect(202);
    post(&app, "/api/queues/panopto/pause", &json!({})).await.expect(200);
    post(&app, "/api/queues/panopto/resume", &json!({})).await.expect(200);
    post(&app, "/api/jobs", &json!({ "kind": "cleanup-orphans" })).await.expect(201);
    let log = get(&app, "/api/audit?limit=2").await;
    let cursor = &log["next_cursor"];
    let rest = get(&app, &format!("/api/audit?cursor={cursor}")).await;
    let entries =
        [log["entries"].as_array().unwrap().clone(), rest["entries"].as_array().unwrap().clone()].concat();
    let actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["enqueue-job", "resume-queue", "pause-queue", "retry-job", "cancel-job"]);
    assert_eq!((&entries[4]["target"], &entries[4]["count"]), (&json!(job.to_string()), &json!(1)));
    assert!(entries.iter().all(|entry| entry["user_id"].is_string() && entry["source"] == "api"));
    assert_eq!(entries[1]["target"], "panopto");
}

#[tokio::test]
async fn a_filter_by_user_is_recorded_as_it_was_given() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let filter = json!({ "kind": "submit", "user_id": app.users[0] });
    let body = json!({ "action": "cancel", "filter": filter });
    let operation = post(&app, "/api/jobs/bulk", &body).await.expect(202).json();
    assert_eq!((&operation["total"], &operation["filter"]), (&json!(1), &filter));
    let log = get(&app, "/api/audit").await;
    assert_eq!(log["entries"][0]["detail"]["filter"], filter, "{log}");
    assert!(!log.to_string().contains(&lecture.to_string()), "{log}");
    let nobody = json!({ "action": "cancel", "filter": { "user_id": app.users[1] } });
    let operation = post(&app, "/api/jobs/bulk", &nobody).await.expect(202).json();
    assert_eq!((&operation["total"], &operation["filter"]), (&json!(0), &nobody["filter"]));
}
