//! Which receiver gets which event.

use bedel_jobs::kinds::Transcribe;
use bedel_jobs::lecture;
use bedel_jobs::webhook::event::Event;
use bedel_jobs::webhook::receiver_group::ReceiverGroup;
use bedel_jobs::webhook::subscription::Scope;
use bedel_jobs::webhook::{callback, publish};
use bedel_jobs::{pipeline, registry};
use bedel_queue::{End, Job, NewJob};
use bedel_upstream::Reply;
use serde_json::{Value, json};
use uuid::Uuid;

use super::lab::{HOOK, Lab, eventually, options};

/// Payloads by the path that got them.
fn payloads(lab: &Lab, path: &str) -> Vec<Value> {
    let requests = lab.receiver.requests_to(path);
    requests.iter().map(|request| serde_json::from_str(&request.body).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_receiver_of_a_lecture_gets_one_message_and_no_other_user_gets_any() {
    let lab = Lab::new().await;
    for path in [HOOK, "/other", "/all", "/callback", "/stranger"] {
        lab.receiver.on(path, [Reply::json("{}")]);
    }
    let (mine, other, stranger, admin) =
        (lab.user().await, lab.user().await, lab.user().await, lab.user().await);
    lab.subscribe(mine, Scope::Own, HOOK).await;
    lab.subscribe(other, Scope::Own, "/other").await;
    lab.subscribe(stranger, Scope::Own, "/stranger").await;
    lab.subscribe(admin, Scope::All, "/all").await;
    let id = lab.lecture(mine, "downloading").await;
    let mut connection = lab.pool().acquire().await.unwrap();
    callback::store(&mut connection, id, mine, &lab.receiver.url("/callback?token=hunter2")).await.unwrap();
    // Not linked any more.
    callback::store(&mut connection, id, other, &lab.receiver.url("/other")).await.unwrap();

    let jobs = lecture::complete(&mut connection, id, &format!("transcripts/{id}.json")).await.unwrap();
    assert_eq!(jobs.len(), 3);
    lab.enqueue(&jobs).await;
    let worker = lab.worker();
    eventually("all messages are delivered", async || {
        lab.count("SELECT count(*) FROM webhook_messages WHERE state = 'delivered'").await == 3
    })
    .await;
    worker.stop().await;
    for path in ["/other", "/stranger"] {
        assert_eq!(payloads(&lab, path), Vec::<Value>::new(), "{path}");
    }
    let course: Uuid =
        sqlx::query_scalar("SELECT course_id FROM lectures").fetch_one(lab.pool()).await.unwrap();
    for path in [HOOK, "/all", "/callback"] {
        let mut seen = payloads(&lab, path);
        assert_eq!(seen.len(), 1, "{path}");
        let timestamp = seen[0]["timestamp"].take();
        assert!(timestamp.as_str().is_some_and(|time| time.ends_with('Z')), "{timestamp}");
        let expected = json!({
            "type": "lecture.completed",
            "timestamp": null,
            "data": {
                "lecture_id": id, "course_id": course, "title": "Heat pumps", "status": "completed",
                "error_message": null, "duration_seconds": null,
                "links": { "lecture": format!("/api/lectures/{id}"), "transcript": format!("/api/lectures/{id}/transcript") },
            },
        });
        assert_eq!(seen[0], expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_lecture_is_reported_and_a_completed_one_whose_new_transcription_fails_is_not() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    lab.subscribe(user, Scope::Own, HOOK).await;
    let end = |id| End {
        subject: Some(id),
        cancelled: false,
        class: "gone".to_owned(),
        message: "The recording is gone.".to_owned(),
    };
    for (status, seen) in [("pending", 1), ("downloading", 1), ("completed", 0)] {
        let id = lab.lecture(user, status).await;
        let mut tx = lab.pool().begin().await.unwrap();
        lecture::fail(&mut tx, &end(id), &lab.ctx.settings).await.unwrap();
        tx.commit().await.unwrap();
        let payloads: Vec<String> =
            sqlx::query_scalar("SELECT payload FROM webhook_messages WHERE lecture_id = $1")
                .bind(id)
                .fetch_all(lab.pool())
                .await
                .unwrap();
        assert_eq!(payloads.len(), seen, "{status}");
        for payload in payloads {
            let payload: Value = serde_json::from_str(&payload).unwrap();
            assert_eq!(payload["type"], "lecture.failed");
            assert_eq!(payload["data"]["error_message"], "The recording is gone.");
            assert_eq!(payload["data"]["links"], json!({ "lecture": format!("/api/lectures/{id}") }));
        }
    }
}

/// Cancelled through the registry, as the API does.
#[tokio::test]
async fn a_cancelled_lecture_is_reported_in_the_cancelling_transaction() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    lab.subscribe(user, Scope::Own, HOOK).await;
    let id = lab.lecture(user, "pending").await;
    let job = pipeline::stage_job(&Transcribe::new(id), &lab.ctx.settings);
    lab.enqueue(std::slice::from_ref(&job)).await;
    let live: Uuid = sqlx::query_scalar("SELECT id FROM queue.jobs WHERE kind = 'transcribe'")
        .fetch_one(lab.pool())
        .await
        .unwrap();
    for commits in [false, true] {
        let mut tx = lab.pool().begin().await.unwrap();
        let cancelled = registry(lab.ctx.clone()).cancel(&mut tx, live, "enough").await.unwrap();
        assert_eq!(cancelled, Some(live));
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let expected = i64::from(commits);
        assert_eq!(
            lab.count("SELECT count(*) FROM webhook_messages WHERE event = 'lecture.failed'").await,
            expected
        );
        let jobs = "SELECT count(*) FROM queue.jobs WHERE kind = 'deliver-webhook'";
        assert_eq!(lab.count(jobs).await, expected);
    }
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_sends_nothing() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    lab.subscribe(user, Scope::Own, HOOK).await;
    let id = lab.lecture(user, "downloading").await;
    let mut tx = lab.pool().begin().await.unwrap();
    let jobs = publish::lecture_ended(&mut tx, id, Event::LectureCompleted).await.unwrap();
    bedel_queue::enqueue_many(&mut tx, &jobs).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!(lab.count("SELECT count(*) FROM webhook_messages").await, 0);
    assert_eq!(lab.count("SELECT count(*) FROM queue.jobs").await, 0);
}

/// A worker discards a job of any kind; its own deliveries cause no further messages.
#[tokio::test(flavor = "multi_thread")]
async fn discarded_jobs_are_reported_to_admins_and_failed_deliveries_are_not() {
    let lab = Lab::new().await;
    lab.receiver.on("/all", [Reply::json("{}")]);
    lab.receiver.on(HOOK, [Reply::new(410, "text/plain", "")]);
    let user = lab.user().await;
    lab.subscribe(user, Scope::All, "/all").await;
    let (gone, _) = lab.subscribe(lab.user().await, Scope::Own, HOOK).await;
    let failing = lab.ping(gone).await;
    // Args that are not those of its kind.
    let mut tx = lab.pool().begin().await.unwrap();
    let id = lab.lecture(user, "downloading").await;
    let job = pipeline::stage_job(&Transcribe::new(id), &lab.ctx.settings);
    let broken = bedel_queue::enqueue(&mut tx, &job).await.unwrap().id;
    sqlx::query("UPDATE queue.jobs SET args = '[]' WHERE id = $1")
        .bind(broken)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut options = options(2);
    options.slots.insert(Transcribe::KIND.to_owned(), 1);
    let worker = lab.worker_of(lab.ctx.clone(), options);
    lab.until(failing, "failed").await;
    eventually("both messages to the admin", async || lab.receiver.requests_to("/all").len() == 2).await;
    worker.stop().await;
    let mut seen = payloads(&lab, "/all");
    seen.sort_by_key(|payload| payload["type"].to_string());
    assert_eq!((&seen[0]["type"], &seen[1]["type"]), (&json!("job.discarded"), &json!("lecture.failed")));
    let data = &seen[0]["data"];
    assert_eq!((&data["kind"], &data["error_class"]), (&json!("transcribe"), &json!("undecodable")));
    assert_eq!((&data["job_id"], &data["subject"]), (&json!(broken), &json!(id)));
    assert_eq!(lab.count("SELECT count(*) FROM webhook_messages").await, 3);
}

/// Its group is the receiver, so that nothing waits for the downloads of the same host.
#[test]
fn a_delivery_has_its_message_as_key_and_its_receiver_as_group() {
    let id = Uuid::nil();
    let group =
        ReceiverGroup::of_callback(Uuid::from_u128(7), "https://hooks.example.edu/a?b").expect("a URL");
    let job: NewJob = bedel_jobs::kinds::DeliverWebhook::job(id, Some(&group));
    let shown = format!("{job:?}");
    assert!(shown.contains(&group.to_string()) && shown.contains(&format!("webhook:{id}")), "{shown}");
    assert!(!shown.contains("?b"), "{shown}");
}
