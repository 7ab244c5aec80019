//! One host, many users: a failing receiver delays no other.

use bedel_jobs::webhook::subscription::Scope;
use bedel_jobs::webhook::{callback, publish};
use bedel_upstream::Reply;
use uuid::Uuid;

use super::lab::{HOOK, Lab, eventually};

const BROKEN: &str = "/broken";

/// Failures in a row that open a breaker, and one message more, which waits.
const MESSAGES: usize = 6;

/// Queues a message to the user's callback of a new lecture.
async fn call_back(lab: &Lab, user: Uuid, path: &str) {
    let lecture = lab.lecture(user, "completed").await;
    let mut tx = lab.pool().begin().await.unwrap();
    callback::store(&mut tx, lecture, user, &lab.receiver.url(path)).await.unwrap();
    let jobs = publish::lecture_was_completed(&mut tx, lecture, user).await.unwrap();
    tx.commit().await.unwrap();
    lab.enqueue(&jobs).await;
}

async fn open_breakers(lab: &Lab) -> Vec<String> {
    sqlx::query_scalar("SELECT group_key FROM queue.breakers WHERE opened_at IS NOT NULL ORDER BY group_key")
        .fetch_all(lab.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_receiver_delays_no_other_on_its_host() {
    let lab = Lab::new().await;
    lab.receiver.on(HOOK, [Reply::json("{}")]);
    lab.receiver.on(BROKEN, [Reply::new(500, "text/plain", "no")]);
    let (user, other) = (lab.user().await, lab.user().await);
    let (broken, _) = lab.subscribe(user, Scope::Own, BROKEN).await;
    for _ in 0..MESSAGES {
        lab.ping(broken).await;
        call_back(&lab, user, BROKEN).await;
    }
    let worker = lab.worker();
    let expected = [format!("callbacks:{user}:{}", lab.receiver.host()), format!("webhook:{broken}")];
    eventually("both breakers are open", async || open_breakers(&lab).await == expected).await;

    // The same user's other webhook, and another user's receivers.
    let (own, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    let (others, _) = lab.subscribe(other, Scope::Own, HOOK).await;
    lab.ping(own).await;
    lab.ping(others).await;
    call_back(&lab, other, HOOK).await;
    eventually("all others are delivered", async || {
        lab.count("SELECT count(*) FROM webhook_messages WHERE state = 'delivered'").await == 3
    })
    .await;
    assert_eq!(open_breakers(&lab).await, expected, "the others cleared a breaker");
    worker.stop().await;
}
