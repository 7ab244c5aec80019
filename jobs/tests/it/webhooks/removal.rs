//! Removed subscriptions and users: invisible at once, deleted in batches.

use bedel_jobs::lecture;
use bedel_jobs::user::removal;
use bedel_jobs::webhook::message::{self, Owner, Redelivered};
use bedel_jobs::webhook::subscription::{self, Change, MAX_PER_USER, Scope};
use bedel_jobs::webhook::{prune, publish};
use uuid::Uuid;

use super::lab::{HOOK, Lab, eventually};

/// Delivered messages to a subscription, with one attempt each.
const LOGGED: i64 = 1_200;

/// Messages that wait.
const WAITING: i64 = 3;

const MESSAGES: &str = "SELECT count(*) FROM webhook_messages";

/// A subscription with messages, and a table with the number of messages that each statement deleted.
async fn logged(lab: &Lab, user: Uuid) -> Uuid {
    let (webhook, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    lab.execute(
        "WITH message AS (
             INSERT INTO webhook_messages (webhook_id, user_id, event, payload, state, ended_at)
             SELECT id, user_id, 'webhook.test', '{}', 'delivered', now() FROM webhooks, generate_series(1, 1200)
             WHERE id = $1 RETURNING id)
         INSERT INTO webhook_deliveries (message_id, duration_ms, status) SELECT id, 1, 200 FROM message",
        webhook,
    )
    .await;
    for _ in 0..WAITING {
        lab.ping(webhook).await;
    }
    sqlx::raw_sql(
        "CREATE TABLE deletions (messages bigint NOT NULL);
         CREATE FUNCTION note_deletion() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO public.deletions SELECT count(*) FROM gone; RETURN NULL; END $$;
         CREATE TRIGGER note_deletion AFTER DELETE ON webhook_messages REFERENCING OLD TABLE AS gone
             FOR EACH STATEMENT EXECUTE FUNCTION note_deletion()",
    )
    .execute(lab.pool())
    .await
    .unwrap();
    assert_eq!(lab.count(MESSAGES).await, LOGGED + WAITING);
    webhook
}

/// All messages were deleted, in batches, and the jobs of those that waited were cancelled.
async fn assert_deleted_in_batches(lab: &Lab) {
    assert_eq!(lab.count(MESSAGES).await, 0);
    assert_eq!(lab.count("SELECT count(*) FROM webhook_deliveries").await, 0);
    assert_eq!(lab.count("SELECT count(*) FROM webhooks").await, 0);
    let sum = "SELECT sum(messages)::bigint FROM deletions";
    let most = "SELECT max(messages) FROM deletions";
    assert_eq!((lab.count(sum).await, lab.count(most).await), (LOGGED + WAITING, 500));
    let cancelled = "SELECT count(*) FROM queue.jobs WHERE kind = 'deliver-webhook' AND state = 'cancelled'";
    assert_eq!(lab.count(cancelled).await, WAITING);
    assert_eq!(lab.count("SELECT count(*) FROM queue.jobs WHERE state = 'available'").await, 0);
}

#[tokio::test]
async fn a_removed_webhook_exists_for_nobody_and_is_deleted_in_batches() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    let webhook = logged(&lab, user).await;
    let mut tx = lab.pool().begin().await.unwrap();
    let of_webhook = message::page(&mut tx, Owner::Webhook(webhook), None, 1).await.unwrap().remove(0).id;
    assert!(subscription::remove(&mut tx, Some(user), webhook).await.unwrap().is_some());
    assert!(subscription::remove(&mut tx, None, webhook).await.unwrap().is_none());
    assert!(subscription::read(&mut tx, None, webhook).await.unwrap().is_none());
    assert!(subscription::list(&mut tx, user, true).await.unwrap().is_empty());
    let enable = Change { enabled: Some(true), ..Change::default() };
    assert!(subscription::change(&mut tx, None, webhook, &enable).await.unwrap().is_none());
    assert!(subscription::rotate(&mut tx, None, webhook).await.unwrap().is_none());
    assert!(publish::test(&mut tx, webhook).await.unwrap().is_none());
    let again = message::redeliver(&mut tx, Owner::Webhook(webhook), of_webhook).await.unwrap();
    assert_eq!(again, Redelivered::NotFound);
    assert!(message::read_sending(lab.pool(), of_webhook).await.unwrap().is_some(), "not committed yet");
    tx.commit().await.unwrap();
    assert_eq!(lab.count(MESSAGES).await, LOGGED + WAITING, "the request deleted messages");
    assert!(message::read_sending(lab.pool(), of_webhook).await.unwrap().is_none());
    let mut tx = lab.pool().begin().await.unwrap();
    let id = lab.lecture(user, "downloading").await;
    assert!(lecture::complete(&mut tx, id, "transcripts/x.json").await.unwrap().is_empty());
    tx.commit().await.unwrap();

    let mut connection = lab.pool().acquire().await.unwrap();
    assert_eq!(prune::removed_webhooks(&mut connection).await.unwrap(), (LOGGED + WAITING).unsigned_abs());
    assert_deleted_in_batches(&lab).await;
}

#[tokio::test]
async fn a_removed_webhook_leaves_room_for_another() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    let mut last = Uuid::nil();
    for _ in 0..MAX_PER_USER {
        last = lab.subscribe(user, Scope::Own, HOOK).await.0;
    }
    subscription::remove(&mut lab.pool().acquire().await.unwrap(), Some(user), last).await.unwrap();
    lab.subscribe(user, Scope::Own, HOOK).await;
}

#[tokio::test]
async fn a_removed_user_takes_messages_along_in_batches() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    logged(&lab, user).await;
    let deleted = removal::delete(lab.pool(), &lab.ctx.storage, user).await.unwrap();
    assert!(deleted.existed);
    assert_deleted_in_batches(&lab).await;
}

/// Waits until this many sessions of the database wait for a lock.
async fn until_waiting(lab: &Lab, sessions: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("sessions wait for a lock", async || lab.count(waiting).await == sessions).await;
}

#[tokio::test]
async fn a_message_that_is_sent_again_while_it_is_deleted_deadlocks_with_nothing() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    let (webhook, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    let message = lab.ping(webhook).await;
    lab.execute("UPDATE webhook_messages SET created_at = now() - interval '1 year' WHERE id = $1", message)
        .await;
    lab.execute("UPDATE queue.jobs SET run_at = now() + interval '1 hour' WHERE subject = $1", message).await;
    let mut holder = lab.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM webhook_messages WHERE id = $1 FOR UPDATE")
        .bind(message)
        .execute(&mut *holder)
        .await
        .unwrap();
    let pool = lab.pool().clone();
    let again = tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        let again = message::redeliver(&mut tx, Owner::Webhook(webhook), message).await;
        tx.commit().await.unwrap();
        again
    });
    until_waiting(&lab, 1).await;
    let pool = lab.pool().clone();
    let pruned = tokio::spawn(async move { prune::old_messages(&mut pool.acquire().await.unwrap()).await });
    until_waiting(&lab, 2).await;
    holder.rollback().await.unwrap();
    assert!(matches!(again.await.unwrap().unwrap(), Redelivered::Due(_)));
    assert_eq!(pruned.await.unwrap().unwrap(), 1);
}
