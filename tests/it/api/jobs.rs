//! Jobs over HTTP.

use reqwest::Method;
use serde_json::json;

use super::{Answering, App, submission, viewer};

#[tokio::test]
async fn the_linked_users_and_admins_read_it() {
    let app = App::start().await;
    let submitted = app.submit(0, &submission()).await.expect(201);
    let (lecture, job) = (submitted.id("lecture_id"), submitted.id("job_id"));
    app.execute(
        "INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
         VALUES ($1, 1, 'somewhere:1', 'network', 'the connection was lost'),
                ($1, 2, 'somewhere:1', 'database', 'relation \"x\" does not exist')",
        job,
    )
    .await;
    app.execute("UPDATE queue.jobs SET reason = 'relation \"x\" does not exist' WHERE id = $1", job).await;
    let listed = app.get(0, &format!("/api/jobs?lecture_id={lecture}")).await.expect(200);
    assert!(listed.text.contains(&job.to_string()) && !listed.text.contains("relation"), "{}", listed.text);
    let path = format!("/api/jobs/{job}");
    let shown = app.get(0, &path).await.expect(200).json();
    assert_eq!(shown["id"], json!(job));
    assert_eq!(shown["kind"], "submit");
    assert_eq!(shown["state"], "available");
    assert_eq!(shown["args"], json!({ "lecture_id": lecture }));
    assert_eq!(shown["failures"][0]["class"], "network");
    // Operators' details are for admins.
    assert_eq!(shown["failures"][0]["message"], "the connection was lost");
    assert_eq!(shown["failures"][1]["worker"], json!(null));
    assert!(!shown.to_string().contains("relation"), "{shown}");
    assert_eq!(shown["reason"], shown["failures"][1]["message"]);
    let all = app.admin(Method::GET, &path).answer().await.expect(200).json();
    assert_eq!(all["failures"][1]["worker"], "somewhere:1");
    assert!(all["failures"][1]["message"].as_str().unwrap().contains("relation"));

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

#[tokio::test]
async fn lists_are_for_the_linked_and_for_admins_page_by_page() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    for _ in 0..3 {
        app.set_failed(lecture).await;
        app.retry(0, lecture).await.expect(202);
    }
    // Each filter must exclude something.
    let mut theirs = submission();
    theirs["panopto_url"] = viewer("00000000-0000-4000-8000-00000000000b").into();
    app.submit(1, &theirs).await.expect(201);
    app.admin(Method::POST, "/api/jobs")
        .json(&json!({ "kind": "cleanup-orphans" }))
        .answer()
        .await
        .expect(201);
    app.get(0, "/api/jobs").await.problem(403, "forbidden");
    app.get(1, &format!("/api/jobs?lecture_id={lecture}")).await.problem(404, "not_found");
    let own = app.get(0, &format!("/api/jobs?lecture_id={lecture}")).await.expect(200).json();
    assert_eq!(own["jobs"].as_array().unwrap().len(), 4);
    assert_eq!(own["next_cursor"], json!(null));
    for filter in ["", "&state=discarded", &format!("&lecture_id={lecture}"), "&kind=submit"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/jobs?limit=2{filter}{cursor}");
            let page = app.admin(Method::GET, &path).answer().await.expect(200).json();
            seen.extend(
                page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let expected = match filter {
            "" => 6,
            "&state=discarded" => 3,
            "&kind=submit" => 5,
            _ => 4,
        };
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((seen.len(), distinct.len()), (expected, expected), "{filter}");
    }
    for (query, field) in [
        ("state=done", "state"),
        ("lecture_id=x", "lecture_id"),
        ("cursor=x", "cursor"),
        ("limit=201", "limit"),
        ("kind=%00", "kind"),
    ] {
        let refused = app.get(0, &format!("/api/jobs?{query}")).await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn an_admin_enqueues_any_kind() {
    let app = App::start().await;
    let post = |body: serde_json::Value| app.admin(Method::POST, "/api/jobs").json(&body).answer();
    let made = post(json!({ "kind": "cleanup-orphans", "args": { "dry_run": true }, "unique_key": "mine", "priority": 4 })).await;
    let job = made.expect(201).id("job_id");
    let shown = app.admin(Method::GET, &format!("/api/jobs/{job}")).answer().await.expect(200).json();
    assert_eq!((&shown["args"]["dry_run"], &shown["priority"]), (&json!(true), &json!(4)));
    let found = post(json!({ "kind": "cleanup-orphans", "unique_key": "mine" })).await.expect(200);
    assert_eq!((found.id("job_id"), &found.json()["created"]), (job, &json!(false)));
    let later = post(json!({ "kind": "cleanup-orphans", "run_at": "2099-01-01T00:00:00Z" }))
        .await
        .expect(201)
        .id("job_id");
    const FAR: &str = "SELECT (run_at > now() + interval '9 years')::text FROM queue.jobs WHERE id = $1";
    assert_eq!(app.text(FAR, later).await.as_deref(), Some("true"), "ten years from now at the most");
    for (body, field) in [
        (json!({}), "kind"),
        (json!({ "kind": "no-such" }), "kind"),
        (json!({ "kind": "submit", "args": {} }), "args"),
        (json!({ "kind": "submit", "args": [] }), "args"),
        (json!({ "kind": "course-sync", "args": { "terms": ["\u{0}"] } }), "args"),
        (json!({ "kind": "cleanup-orphans", "priority": 5 }), "priority"),
        (json!({ "kind": "cleanup-orphans", "run_at": "soon" }), "run_at"),
        (json!({ "kind": "cleanup-orphans", "unique_key": "\u{0}" }), "unique_key"),
        (json!({ "kind": "cleanup-orphans", "unique_key": format!("lecture:{later}") }), "unique_key"),
        (json!({ "kind": "course-sync", "unique_key": "mine" }), "unique_key"),
    ] {
        let refused = post(body).await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
}

#[tokio::test]
async fn an_admin_cancels_and_retries_jobs() {
    let app = App::start().await;
    let submitted = app.submit(0, &submission()).await.expect(201);
    let (lecture, job) = (submitted.id("lecture_id"), submitted.id("job_id"));
    let post = |verb: &'static str| app.admin(Method::POST, &format!("/api/jobs/{job}/{verb}")).answer();
    assert_eq!(post("cancel").await.expect(202).id("job_id"), job);
    post("cancel").await.problem(409, "conflict");
    let shown = app.get(0, &format!("/api/lectures/{lecture}")).await.expect(200).json();
    assert_eq!(shown["status"], "failed");
    let revived = post("retry").await.expect(202).id("job_id");
    assert_eq!(app.live_jobs(lecture).await, 1);
    assert_eq!(
        app.get(0, &format!("/api/lectures/{lecture}")).await.expect(200).json()["job_id"],
        json!(revived)
    );
    app.set_completed(lecture).await;
    post("retry").await.problem(409, "conflict");
    let nothing = format!("/api/jobs/{}", uuid::Uuid::new_v4());
    app.admin(Method::POST, &format!("{nothing}/retry")).answer().await.problem(404, "not_found");
    app.admin(Method::POST, &format!("{nothing}/cancel")).answer().await.problem(404, "not_found");
}
