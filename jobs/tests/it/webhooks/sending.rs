//! Signatures, retries, and what an answer does.

use std::time::{Duration, Instant};

use bedel_fetch::FetchPolicy;
use bedel_jobs::webhook::message::{self, Owner, Redelivered};
use bedel_jobs::webhook::subscription::{self, Change, Scope};
use bedel_jobs::webhook::{callback, prune, publish};
use bedel_upstream::{Fault, Reply, Resource};
use serde_json::Value;
use uuid::Uuid;

use super::lab::{HOOK, Lab, eventually, python_accepts, shell_signature};

fn ok() -> Reply {
    Reply::json("{}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_checks_accept_a_message_and_refuse_a_changed_one() {
    let lab = Lab::new().await;
    lab.receiver.on(HOOK, [ok()]);
    let (webhook, secret) = lab.subscribe(lab.user().await, Scope::Own, HOOK).await;
    let worker = lab.worker();
    let message = lab.ping(webhook).await;
    lab.until(message, "delivered").await;

    let request = lab.received().remove(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("webhook-id"), Some(message.to_string().as_str()));
    let body: Value = serde_json::from_str(&request.body).expect("JSON");
    assert_eq!(
        (&body["type"], &body["data"]["webhook_id"]),
        (&"webhook.test".into(), &webhook.to_string().into())
    );
    assert!(python_accepts(&secret, &request, &request.body));
    assert!(!python_accepts(&secret, &request, &request.body.replace("test", "tost")));
    let signature = request.header("webhook-signature").expect("a signature");
    assert_eq!(signature, format!("v1,{}", shell_signature(&secret, &request)));

    // Rotated: both sign, until the old secret expires.
    let mut tx = lab.pool().begin().await.unwrap();
    let (new, _) = subscription::rotate(&mut tx, None, webhook).await.unwrap().expect("a webhook");
    tx.commit().await.unwrap();
    assert_ne!(new.reveal(), secret);
    let second = lab.ping(webhook).await;
    lab.until(second, "delivered").await;
    let request = lab.received().remove(1);
    assert_eq!(request.header("webhook-signature").expect("signatures").split(' ').count(), 2);
    assert!(python_accepts(&secret, &request, &request.body));
    assert!(python_accepts(&new.reveal(), &request, &request.body));
    lab.execute("UPDATE webhooks SET previous_expires_at = now() WHERE id = $1", webhook).await;
    let third = lab.ping(webhook).await;
    lab.until(third, "delivered").await;
    let request = lab.received().remove(2);
    assert!(!python_accepts(&secret, &request, &request.body));
    assert!(python_accepts(&new.reveal(), &request, &request.body));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_keeps_its_id_and_body_over_retries_and_a_redelivery() {
    let lab = Lab::new().await;
    let redirect = Reply::redirect(&lab.receiver.url("/elsewhere"));
    let busy = Reply::new(503, "text/plain", "").header("retry-after", "7");
    lab.receiver.on(HOOK, [Reply::new(500, "text/plain", "no"), redirect, busy, Reply::html(404, ""), ok()]);
    lab.receiver.on("/elsewhere", [ok()]);
    let (webhook, _) = lab.subscribe(lab.user().await, Scope::Own, HOOK).await;
    let worker = lab.worker();
    let message = lab.ping(webhook).await;
    lab.until(message, "delivered").await;
    let of = |status, class: &str| (Some(status), Some(class.to_owned()));
    let expected = [
        of(500, "receiver-error"),
        of(302, "receiver-refused"),
        of(503, "receiver-busy"),
        of(404, "receiver-refused"),
        (Some(200), None),
    ];
    assert_eq!(lab.attempts(message).await, expected);
    assert_eq!(lab.receiver.requests_to("/elsewhere").len(), 0, "a redirect was followed");

    let mut tx = lab.pool().begin().await.unwrap();
    let again = message::redeliver(&mut tx, Owner::Webhook(webhook), message).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(again, Redelivered::Due(_)), "{again:?}");
    lab.until(message, "delivered").await;
    worker.stop().await;
    let received = lab.received();
    assert_eq!(received.len(), 6);
    for request in &received {
        assert_eq!(request.header("webhook-id"), Some(message.to_string().as_str()));
        assert_eq!(request.body, received[0].body);
    }
    let page =
        message::page(&mut lab.pool().acquire().await.unwrap(), Owner::Webhook(webhook), None, 10).await;
    let page = page.unwrap();
    assert_eq!((page.len(), page[0].attempts.len()), (1, 6));
    assert_eq!(page[0].attempts[0].status, Some(200));
}

/// Only failures make the pause longer; this job was claimed and released nine times.
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_did_not_fail_do_not_lengthen_the_pause() {
    let lab = Lab::new().await;
    lab.receiver.on(HOOK, [Reply::new(503, "text/plain", "").header("retry-after", "1")]);
    let (webhook, _) = lab.subscribe(lab.user().await, Scope::Own, HOOK).await;
    let message = lab.ping(webhook).await;
    lab.execute("UPDATE queue.jobs SET attempt = 9 WHERE subject = $1", message).await;
    let worker = lab.worker();
    for (failures, seconds) in [(1, 10), (2, 20)] {
        eventually("an attempt failed", async || {
            lab.count("SELECT coalesce(max(errors), 0)::bigint FROM queue.jobs WHERE state = 'available'")
                .await
                == failures
        })
        .await;
        let pause = "SELECT round(extract(epoch FROM run_at - attempted_at))::bigint FROM queue.jobs";
        let pause = lab.count(pause).await;
        assert!((seconds..seconds + 5).contains(&pause), "{pause} s after {failures} failures");
        lab.skip_pauses().await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_410_disables_a_subscription_and_removes_a_callback() {
    let lab = Lab::new().await;
    lab.receiver.on(HOOK, [Reply::new(410, "text/plain", "")]);
    let user = lab.user().await;
    let (webhook, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    let lecture = lab.lecture(user, "completed").await;
    let worker = lab.worker();
    let message = lab.ping(webhook).await;
    lab.until(message, "failed").await;
    let mut connection = lab.pool().acquire().await.unwrap();
    let view = subscription::read(&mut connection, None, webhook).await.unwrap().expect("a webhook");
    assert!(!view.enabled && view.disabled_reason.is_some_and(|reason| reason.contains("410")));
    assert_eq!(lab.received().len(), 1);
    let again = message::redeliver(&mut connection, Owner::Webhook(webhook), message).await.unwrap();
    assert_eq!(again, Redelivered::Disabled);
    let change = Change { enabled: Some(true), ..Change::default() };
    let view =
        subscription::change(&mut connection, None, webhook, &change).await.unwrap().expect("a webhook");
    assert!(view.enabled && view.disabled_reason.is_none());

    callback::store(&mut connection, lecture, user, &lab.receiver.url(HOOK)).await.unwrap();
    let jobs = publish::lecture_was_completed(&mut connection, lecture, user).await.unwrap();
    assert_eq!(jobs.len(), 1, "the callback alone");
    lab.enqueue(&jobs).await;
    eventually("the callback is gone", async || {
        lab.count("SELECT count(*) FROM lecture_callbacks").await == 0
    })
    .await;
    worker.stop().await;
    let jobs = publish::lecture_was_completed(&mut connection, lecture, user).await.unwrap();
    assert!(jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_receiver_times_out_and_an_endless_answer_is_not_read() {
    let lab = Lab::new().await;
    let silent = Resource::new("").always(Fault::Latency(Duration::from_secs(30)));
    lab.receiver.serve(HOOK, silent);
    let endless = Resource::new(vec![7; 100_000]).always(Fault::Endless);
    lab.receiver.serve("/endless", endless);
    let user = lab.user().await;
    let (slow, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    let (talker, _) = lab.subscribe(user, Scope::Own, "/endless").await;
    let worker = lab.worker();
    let (slow, talker) = (lab.ping(slow).await, lab.ping(talker).await);
    lab.until(talker, "delivered").await;
    eventually("an attempt", async || !lab.attempts(slow).await.is_empty()).await;
    worker.stop().await;
    assert_eq!(lab.attempts(slow).await[0], (None, Some("timeout".to_owned())));
    assert_eq!(lab.state(slow).await.as_deref(), Some("pending"));
    assert!(lab.receiver.bytes_sent("/endless") < 16 << 20);
}

/// Fifty messages wait for a receiver that accepts connections and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_does_not_delay_others() {
    let (lab, dead) = (Lab::new().await, bedel_upstream::Upstream::start().await);
    lab.receiver.on(HOOK, [ok()]);
    dead.serve(HOOK, Resource::new("").always(Fault::Latency(Duration::from_secs(60))));
    let user = lab.user().await;
    let (silent, _) = lab.subscribe_url(user, Scope::Own, dead.url(HOOK)).await;
    let (alive, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    let mut waiting = Vec::new();
    for _ in 0..50 {
        waiting.push(lab.ping(silent).await);
    }
    let worker = lab.worker();
    eventually("the breaker is open", async || {
        lab.count("SELECT count(*) FROM queue.breakers WHERE opened_at IS NOT NULL").await == 1
    })
    .await;
    let started = Instant::now();
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(lab.ping(alive).await);
    }
    eventually("all others", async || {
        lab.count("SELECT count(*) FROM webhook_messages WHERE state = 'delivered'").await == 10
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    worker.stop().await;
    let group: String =
        sqlx::query_scalar("SELECT group_key FROM queue.breakers").fetch_one(lab.pool()).await.unwrap();
    assert_eq!(group, format!("webhook:{silent}"));
    assert_eq!(lab.count("SELECT count(*) FROM webhook_messages WHERE state = 'failed'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_or_removed_subscription_gets_nothing() {
    let lab = Lab::new().await;
    lab.receiver.on(HOOK, [ok()]);
    let user = lab.user().await;
    let (off, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    let (gone, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    let (off_message, _) = (lab.ping(off).await, lab.ping(gone).await);
    lab.execute("UPDATE webhooks SET enabled = false WHERE id = $1", off).await;
    let mut connection = lab.pool().acquire().await.unwrap();
    assert!(subscription::remove(&mut connection, Some(Uuid::new_v4()), gone).await.unwrap().is_none());
    assert!(subscription::remove(&mut connection, Some(user), gone).await.unwrap().is_some());
    let worker = lab.worker();
    lab.until(off_message, "failed").await;
    eventually("the other job ends", async || {
        lab.count("SELECT count(*) FROM queue.jobs WHERE state = 'cancelled'").await == 1
    })
    .await;
    worker.stop().await;
    assert_eq!(lab.received().len(), 0);
}

#[tokio::test]
async fn old_messages_are_pruned_with_their_attempts() {
    let lab = Lab::new().await;
    let (webhook, _) = lab.subscribe(lab.user().await, Scope::Own, HOOK).await;
    sqlx::query(
        "WITH message AS (
             INSERT INTO webhook_messages (webhook_id, user_id, event, payload, state, created_at, ended_at)
             SELECT id, user_id, 'webhook.test', '{}', 'delivered', now() - make_interval(days => 20 + n % 20), now()
             FROM webhooks, generate_series(1, 2000) AS n WHERE id = $1
             RETURNING id)
         INSERT INTO webhook_deliveries (message_id, duration_ms, status) SELECT id, 1, 200 FROM message",
    )
    .bind(webhook)
    .execute(lab.pool())
    .await
    .unwrap();
    let pruned = prune::old_messages(&mut lab.pool().acquire().await.unwrap()).await.unwrap();
    assert_eq!(pruned, 1000);
    assert_eq!(lab.count("SELECT count(*) FROM webhook_messages").await, 1000);
    assert_eq!(lab.count("SELECT count(*) FROM webhook_deliveries").await, 1000);
}

#[test]
fn a_policy_for_receivers_follows_no_redirect() {
    assert_eq!(FetchPolicy::public(Vec::new()).max_redirects, 0);
}
