//! Webhooks and callbacks over HTTP. No worker runs: what would be sent is in the database.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Answering, App, COURSE, submission, viewer};

const RECEIVER: &str = "https://hooks.example.edu/bedel";

async fn post(app: &App, user: usize, path: &str, body: &Value) -> Answer {
    app.request(user, Method::POST, path).json(body).answer().await
}

async fn create(app: &App, user: usize) -> Answer {
    post(app, user, "/api/webhooks", &json!({ "url": format!("{RECEIVER}?token=hunter2") })).await
}

#[tokio::test]
async fn a_secret_is_answered_when_it_is_made_and_never_again() {
    let app = App::start().await;
    let created = create(&app, 0).await.expect(201);
    let secret = created.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == "whsec_".len() + 44, "{secret}");
    let (id, body) = (created.id("id"), created.json());
    assert_eq!((&body["scope"], &body["enabled"]), (&json!("own"), &json!(true)));
    assert_eq!(body["events"], json!(["lecture.completed", "lecture.failed"]));
    assert_eq!(body["url"], RECEIVER, "the query is not shown");

    let path = format!("/api/webhooks/{id}");
    let rotated = app.request(0, Method::POST, &format!("{path}/rotate")).answer().await.expect(200);
    let new = rotated.json()["secret"].as_str().unwrap().to_owned();
    assert_ne!(new, secret);
    assert!(rotated.json()["previous_secret_expires_at"].is_string());
    for answer in [app.get(0, "/api/webhooks").await, app.get(0, &path).await] {
        let answer = answer.expect(200);
        for hidden in [&secret, &new, "hunter2"] {
            assert!(!answer.text.contains(hidden.trim_start_matches("whsec_")), "{}", answer.text);
        }
        assert!(answer.text.contains(&id.to_string()));
    }

    let changed =
        app.request(0, Method::PATCH, &path).json(&json!({ "enabled": false, "events": ["lecture.failed"] }));
    let changed = changed.answer().await.expect(200).json();
    assert_eq!((&changed["enabled"], &changed["events"]), (&json!(false), &json!(["lecture.failed"])));
    app.request(0, Method::POST, &format!("{path}/test")).answer().await.problem(409, "conflict");
    app.request(0, Method::DELETE, &path).answer().await.expect(204);
    // The row stays until its messages are deleted.
    assert_eq!(app.count("SELECT count(*) FROM webhooks WHERE id = $1 AND NOT enabled", id).await, 1);
    app.get(0, &path).await.problem(404, "not_found");
    app.request(0, Method::DELETE, &path).answer().await.problem(404, "not_found");
    app.get(0, &format!("{path}/deliveries")).await.problem(404, "not_found");
    assert_eq!(app.get(0, "/api/webhooks").await.expect(200).json(), json!({ "webhooks": [] }));
}

#[tokio::test]
async fn each_invalid_field_is_named_and_nothing_is_stored() {
    let app = App::start().await;
    for (field, bad) in [
        ("url", json!({})),
        ("url", json!({ "url": "https://127.0.0.2/hunter2" })),
        ("url", json!({ "url": "https://[::1]/hunter2" })),
        ("url", json!({ "url": "http://hooks.example.edu/hunter2" })),
        ("url", json!({ "url": "https://user:hunter2@hooks.example.edu/" })),
        ("url", json!({ "url": "hunter2" })),
        ("events", json!({ "url": RECEIVER, "events": [] })),
        ("events", json!({ "url": RECEIVER, "events": ["lecture.deleted"] })),
        ("events", json!({ "url": RECEIVER, "events": ["job.discarded"] })),
        ("scope", json!({ "url": RECEIVER, "scope": "everything" })),
    ] {
        let refused = post(&app, 0, "/api/webhooks", &bad).await;
        assert!(!refused.text.contains("hunter2"), "{}", refused.text);
        assert_eq!(refused.problem(422, "invalid")["errors"][0]["field"], field, "{bad}");
    }
    post(&app, 0, "/api/webhooks", &json!({ "url": RECEIVER, "scope": "all" }))
        .await
        .problem(403, "forbidden");
    assert_eq!(app.get(0, "/api/webhooks").await.expect(200).json(), json!({ "webhooks": [] }));
    // The operators allow this one.
    post(&app, 0, "/api/webhooks", &json!({ "url": "http://receiver.internal:8080/" })).await.expect(201);

    let body = json!({ "url": RECEIVER, "scope": "all" });
    let all = app.admin(Method::POST, "/api/webhooks").json(&body).answer().await.expect(201).json();
    assert_eq!(all["events"], json!(["lecture.completed", "lecture.failed", "job.discarded"]));
}

#[tokio::test]
async fn a_user_has_at_most_twenty_webhooks() {
    let app = App::start().await;
    let made = futures::future::join_all((0..25).map(|_| create(&app, 0))).await;
    let made: Vec<u16> = made.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(made.iter().filter(|status| **status == 201).count(), 20, "{made:?}");
    assert_eq!(made.iter().filter(|status| **status == 409).count(), 5, "{made:?}");
    create(&app, 1).await.expect(201);
}

#[tokio::test]
async fn anothers_webhook_looks_like_none() {
    let app = App::start().await;
    let id = create(&app, 0).await.expect(201).id("id");
    let message =
        post(&app, 0, &format!("/api/webhooks/{id}/test"), &json!({})).await.expect(202).id("message_id");
    for (method, path) in [
        (Method::GET, "/api/webhooks/ID"),
        (Method::PATCH, "/api/webhooks/ID"),
        (Method::DELETE, "/api/webhooks/ID"),
        (Method::POST, "/api/webhooks/ID/rotate"),
        (Method::POST, "/api/webhooks/ID/test"),
        (Method::GET, "/api/webhooks/ID/deliveries"),
        (Method::POST, "/api/webhooks/ID/deliveries/MESSAGE/redeliver"),
    ] {
        let ask = |id: Uuid| {
            let path = path.replace("ID", &id.to_string()).replace("MESSAGE", &message.to_string());
            app.request(1, method.clone(), &path).json(&json!({})).answer()
        };
        let (anothers, nothings) = (ask(id).await, ask(Uuid::new_v4()).await);
        assert_eq!(anothers.problem(404, "not_found"), nothings.problem(404, "not_found"), "{method} {path}");
    }
    let own = create(&app, 1).await.expect(201).id("id");
    for path in [
        format!("/api/webhooks/{own}/deliveries/{message}/redeliver"),
        format!("/api/webhooks/callbacks/deliveries/{message}/redeliver"),
    ] {
        app.request(1, Method::POST, &path).answer().await.problem(404, "not_found");
    }
    assert_eq!(app.get(0, &format!("/api/webhooks/{id}")).await.expect(200).json()["enabled"], true);
    // An admin may remove any.
    app.admin(Method::DELETE, &format!("/api/webhooks/{id}")).answer().await.expect(204);
}

#[tokio::test]
async fn a_test_message_is_logged_and_delivered_again() {
    let app = App::start().await;
    let id = create(&app, 0).await.expect(201).id("id");
    let mut messages = Vec::new();
    for _ in 0..3 {
        let queued = post(&app, 0, &format!("/api/webhooks/{id}/test"), &json!({})).await.expect(202);
        messages.push(queued.id("message_id"));
    }
    let path = format!("/api/webhooks/{id}/deliveries");
    let page = app.get(0, &format!("{path}?limit=2")).await.expect(200).json();
    let second =
        app.get(0, &format!("{path}?limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await;
    let second = second.expect(200).json();
    assert_eq!(second["next_cursor"], Value::Null);
    let pages =
        [page["deliveries"].as_array().unwrap().clone(), second["deliveries"].as_array().unwrap().clone()];
    let listed: Vec<String> =
        pages.concat().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<String> = messages.iter().rev().map(Uuid::to_string).collect();
    assert_eq!(listed, expected);
    let newest = &page["deliveries"][0];
    assert_eq!((&newest["event"], &newest["state"]), (&json!("webhook.test"), &json!("pending")));
    assert!(newest["next_attempt_at"].is_string() && newest["attempts"] == json!([]), "{newest}");

    // While its job is live, a redelivery is that job.
    let again = format!("{path}/{}/redeliver", messages[0]);
    let live = app.request(0, Method::POST, &again).answer().await.expect(202).id("job_id");
    let job = "SELECT count(*) FROM queue.jobs WHERE id = $1 AND kind = 'deliver-webhook' AND group_key LIKE 'webhook:%'";
    assert_eq!(app.count(job, live).await, 1);
    app.execute(
        "UPDATE queue.jobs SET state = 'discarded', finalized_at = now() WHERE subject = $1",
        messages[0],
    )
    .await;
    let new = app.request(0, Method::POST, &again).answer().await.expect(202);
    assert_ne!(new.id("job_id"), live);
    assert_eq!(new.id("message_id"), messages[0]);
}

#[tokio::test]
async fn a_submission_an_upload_and_a_batch_store_their_callback() {
    let app = App::start().await;
    let stored = async |lecture: Uuid| {
        app.text("SELECT url FROM lecture_callbacks WHERE lecture_id = $1", lecture).await
    };
    let with = |url: &str| {
        let mut body = submission();
        body["panopto_url"] = viewer(&Uuid::new_v4().to_string()).into();
        body["callback_url"] = url.into();
        body
    };
    let refused = app.submit(0, &with("http://127.0.0.2/hunter2")).await;
    assert!(!refused.text.contains("hunter2"));
    assert_eq!(refused.problem(422, "invalid")["errors"][0]["field"], "callback_url");

    let submitted = with("https://hooks.example.edu/a#part");
    let lecture = app.submit(0, &submitted).await.expect(201).id("lecture_id");
    assert_eq!(stored(lecture).await.as_deref(), Some("https://hooks.example.edu/a"));
    let mut again = submitted;
    again["callback_url"] = "https://hooks.example.edu/b".into();
    app.submit(0, &again).await.expect(200);
    assert_eq!(stored(lecture).await.as_deref(), Some("https://hooks.example.edu/b"));

    // A completed lecture is reported at once, to the new callback alone.
    app.set_completed(lecture).await;
    app.submit(1, &again).await.expect(200);
    let messages: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT event, callback_url FROM webhook_messages WHERE lecture_id = $1")
            .bind(lecture)
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(messages, [("lecture.completed".to_owned(), Some("https://hooks.example.edu/b".to_owned()))]);
    let listed = app.get(1, "/api/webhooks/callbacks/deliveries").await.expect(200).json();
    assert_eq!(listed["deliveries"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(
        app.get(0, "/api/webhooks/callbacks/deliveries").await.expect(200).json()["deliveries"],
        json!([])
    );

    let metadata = json!({ "session_id": Uuid::new_v4(), "course_id": COURSE, "callback_url": RECEIVER });
    let audio = Part::bytes(&b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"[..])
        .file_name("a.mp4")
        .mime_str("audio/mp4")
        .unwrap();
    let form = Form::new().part("audio", audio).text("metadata", metadata.to_string());
    let uploaded = super::audio::upload(&app, 0, form).await.expect(200).id("lecture_id");
    assert_eq!(stored(uploaded).await.as_deref(), Some(RECEIVER));

    let mut without = with("");
    without.as_object_mut().unwrap().remove("callback_url");
    let body = json!({
        "lectures": [without, with("https://hooks.example.edu/own"), with("ftp://x/")], "callback_url": RECEIVER
    });
    let results = post(&app, 0, "/api/lectures/batch", &body).await.expect(200).json()["results"].clone();
    let id = |index: usize| results[index]["lecture_id"].as_str().unwrap().parse::<Uuid>().unwrap();
    assert_eq!(stored(id(0)).await.as_deref(), Some(RECEIVER));
    assert_eq!(stored(id(1)).await.as_deref(), Some("https://hooks.example.edu/own"));
    assert_eq!(results[2]["error"]["errors"][0]["field"], "callback_url");
}

#[tokio::test]
async fn all_callbacks_of_a_user_share_a_secret() {
    let app = App::start().await;
    let secret = async |user| {
        let answer =
            app.request(user, Method::PUT, "/api/webhooks/callbacks/secret").answer().await.expect(200);
        answer.json()["secret"].as_str().unwrap().to_owned()
    };
    let first = secret(0).await;
    assert_eq!(secret(0).await, first);
    assert_ne!(secret(1).await, first);
    let rotated =
        app.request(0, Method::POST, "/api/webhooks/callbacks/secret/rotate").answer().await.expect(200);
    assert_ne!(rotated.json()["secret"], first);
    assert_eq!(rotated.json()["secret"], secret(0).await);
}

/// Action, source, count and detail of each entry on this webhook, oldest first.
async fn audited(app: &App, webhook: Uuid) -> Vec<(String, String, i64, Value)> {
    sqlx::query_as("SELECT action, source, count, detail FROM audit_log WHERE target = $1 ORDER BY id")
        .bind(webhook.to_string())
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_admins_do_to_webhooks_is_recorded_without_secrets() {
    let app = App::start().await;
    let admin = async |method, path: &str, body: &Value| app.admin(method, path).json(body).answer().await;
    let url = format!("{RECEIVER}/hunter2?token=hunter2");
    let anothers = post(&app, 0, "/api/webhooks", &json!({ "url": url })).await.expect(201).id("id");
    let address = format!("/api/webhooks/{anothers}");
    post(&app, 0, &format!("{address}/test"), &json!({})).await.expect(202);
    post(&app, 0, &format!("{address}/rotate"), &json!({})).await.expect(200);
    assert_eq!(audited(&app, anothers).await, [], "a user's own doing");

    let change = json!({ "enabled": true, "url": format!("{url}2"), "events": ["lecture.failed"] });
    admin(Method::PATCH, &address, &change).await.expect(200);
    let message =
        admin(Method::POST, &format!("{address}/test"), &json!({})).await.expect(202).id("message_id");
    let again = format!("{address}/deliveries/{message}/redeliver");
    admin(Method::POST, &again, &json!({})).await.expect(202);
    admin(Method::PATCH, &address, &json!({ "enabled": false })).await.expect(200);
    admin(Method::POST, &again, &json!({})).await.problem(409, "conflict");
    admin(Method::POST, &format!("{address}/rotate"), &json!({})).await.expect(200);
    admin(Method::DELETE, &address, &json!({})).await.expect(204);
    admin(Method::DELETE, &address, &json!({})).await.problem(404, "not_found");
    let (user, host) = (app.users[0], "hooks.example.edu");
    let of = |action: &str, jobs: i64, mut detail: Value| {
        detail["user_id"] = json!(user);
        detail["host"] = json!(host);
        (action.to_owned(), "api".to_owned(), jobs, detail)
    };
    let expected = [
        of("change-webhook", 0, json!({ "url": true, "enabled": true, "events": ["lecture.failed"] })),
        of("test-webhook", 1, json!({ "message_id": message })),
        of("redeliver-webhook", 1, json!({ "message_id": message })),
        of("change-webhook", 0, json!({ "url": false, "enabled": false })),
        of("rotate-webhook", 0, json!({})),
        of("remove-webhook", 0, json!({})),
    ];
    assert_eq!(audited(&app, anothers).await, expected);

    let new = json!({ "url": url, "scope": "all" });
    let all = admin(Method::POST, "/api/webhooks", &new).await.expect(201).id("id");
    let log = audited(&app, all).await;
    assert_eq!((log.len(), log[0].0.as_str(), &log[0].3["scope"]), (1, "create-webhook", &json!("all")));
    let log = app.admin(Method::GET, "/api/audit").answer().await.expect(200).text;
    assert!(log.contains("create-webhook") && !log.contains("hunter2") && !log.contains("whsec_"), "{log}");
}
