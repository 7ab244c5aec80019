//! No statement reads a table from end to end, however many users, webhooks and messages there are.

use bedel_jobs::webhook::message::{self, Owner};
use bedel_jobs::webhook::subscription::{self, Scope};
use bedel_jobs::webhook::{prune, publish};
use bedel_jobs::{lecture, webhook::callback};

use super::lab::{HOOK, Lab};

#[tokio::test]
async fn no_statement_reads_more_because_of_other_users_webhooks_and_messages() {
    let lab = Lab::new().await;
    let user = lab.user().await;
    let (mine, _) = lab.subscribe(user, Scope::Own, HOOK).await;
    lab.subscribe(lab.user().await, Scope::All, HOOK).await;
    let id = lab.lecture(user, "downloading").await;
    sqlx::raw_sql(
        "INSERT INTO users (id) SELECT gen_random_uuid() FROM generate_series(1, 10000);
         INSERT INTO webhooks (user_id, scope, url, events, secret)
             SELECT id, 'own', 'https://hooks.example.edu/', ARRAY['lecture.completed'], decode(repeat('00', 32), 'hex')
             FROM users;
         INSERT INTO lectures (course_id, panopto_url, stream_url) SELECT gen_random_uuid(), '', '' FROM users;
         INSERT INTO user_lectures (user_id, lecture_id)
             SELECT users.id, lectures.id
             FROM (SELECT id, row_number() OVER () AS n FROM users) AS users
             JOIN (SELECT id, row_number() OVER () AS n FROM lectures) AS lectures USING (n)
             ON CONFLICT DO NOTHING;
         INSERT INTO lecture_callbacks (user_id, lecture_id, url) SELECT user_id, lecture_id, 'https://a.b/' FROM user_lectures;
         INSERT INTO webhook_messages (webhook_id, user_id, event, payload)
             SELECT webhooks.id, user_id, 'webhook.test', '{}' FROM webhooks, generate_series(1, 2);
         INSERT INTO webhook_messages (callback_url, user_id, event, payload)
             SELECT 'https://a.b/', id, 'lecture.completed', '{}' FROM users;
         INSERT INTO webhook_deliveries (message_id, duration_ms, status) SELECT id, 1, 500 FROM webhook_messages;
         ANALYZE",
    )
    .execute(lab.pool())
    .await
    .unwrap();
    let mut tx = lab.pool().begin().await.unwrap();
    callback::store(&mut tx, id, user, "https://hooks.example.edu/").await.unwrap();
    let jobs = lecture::complete(&mut tx, id, "transcripts/x.json").await.unwrap();
    assert!(jobs.len() >= 3, "{jobs:?}");
    publish::test(&mut tx, mine).await.unwrap().expect("a message");
    subscription::list(&mut tx, user, true).await.unwrap();
    for owner in [Owner::Webhook(mine), Owner::Callbacks(user)] {
        let page = message::page(&mut tx, owner, None, 50).await.unwrap();
        let last = page.last().expect("a message").id;
        message::page(&mut tx, owner, Some(last), 50).await.unwrap();
        message::redeliver(&mut tx, owner, last).await.unwrap();
        message::disable_receiver(&mut tx, last, "gone").await.unwrap();
        message::set_failed(&mut tx, last).await.unwrap();
    }
    subscription::remove(&mut tx, Some(user), mine).await.unwrap().expect("a webhook");
    assert!(prune::removed_webhooks(&mut tx).await.unwrap() > 0);
    prune::user(&mut tx, user).await.unwrap();
    prune::old_messages(&mut tx).await.unwrap();
    let scans: Vec<(String, i64)> = sqlx::query_as(
        "SELECT relname::text, seq_tup_read FROM pg_stat_xact_user_tables
         WHERE schemaname = 'public' AND seq_tup_read > 1000",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    assert!(scans.is_empty(), "{scans:?}");
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT id FROM webhook_messages WHERE created_at < now() - make_interval(days => 30)
         ORDER BY created_at LIMIT 500 FOR UPDATE SKIP LOCKED",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    assert!(plan.concat().contains("idx_webhook_messages_created_at"), "{plan:#?}");
}
