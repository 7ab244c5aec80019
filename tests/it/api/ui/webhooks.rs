//! Webhooks on the pages.

use super::super::{Answering, App};
use super::{Browser, next};

/// The id in the address that a page links to.
fn linked(page: &str) -> String {
    let (_, rest) = page.split_once("main-action\" href=\"/ui/webhooks/").expect("a link to the webhook");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_adds_tests_rotates_and_removes_a_webhook() {
    let app = App::start().await;
    let (user, other) = (Browser::of_user(&app, 0).await, Browser::of_user(&app, 1).await);
    assert!(user.get("/ui/webhooks").await.expect(200).text.contains("No webhook yet"));
    let fields = [("url", "https://hooks.example.org/in?key=hunter2"), ("lecture.completed", "on")];
    let added = user.post("/ui/webhooks", &fields).await.expect(200).text;
    assert!(added.contains("whsec_") && added.contains("no later page shows it"), "{added}");
    let id = linked(&added);
    let address = format!("/ui/webhooks/{id}");
    for path in ["/ui/webhooks", address.as_str()] {
        let page = user.get(path).await.expect(200).text;
        assert!(page.contains("https://hooks.example.org/in") && !page.contains("hunter2"), "{page}");
        assert!(!page.contains("whsec_"), "{page}");
    }
    assert_eq!(next(&user.post(&format!("{address}/test"), &[]).await), address);
    let log = user.get(&address).await.expect(200).text;
    assert!(log.contains("webhook.test") && log.contains("Pending"), "{log}");
    let (_, message) = log.split_once(&format!("{address}/messages/")).unwrap();
    let message = message.split('/').next().unwrap();
    assert_eq!(next(&user.post(&format!("{address}/messages/{message}/redeliver"), &[]).await), address);
    let rotated = user.post(&format!("{address}/rotate"), &[]).await.expect(200).text;
    assert!(rotated.contains("whsec_") && rotated.contains("24 hours"), "{rotated}");
    for verb in ["test", "rotate", "remove", "switch"] {
        other.post(&format!("{address}/{verb}"), &[]).await.expect(404);
    }
    other.get(&address).await.expect(404);
    other.post(&format!("{address}/messages/{message}/redeliver"), &[]).await.expect(404);
    next(&user.post(&format!("{address}/switch"), &[("enabled", "false")]).await);
    user.post(&format!("{address}/test"), &[]).await.expect(409);
    assert_eq!(next(&user.post(&format!("{address}/remove"), &[]).await), "/ui/webhooks");
    user.get(&address).await.expect(404);
}

#[tokio::test]
async fn a_refused_form_says_why_and_only_admins_hear_of_everything() {
    let app = App::start().await;
    let (user, admin) = (Browser::of_user(&app, 0).await, Browser::of_admin(&app).await);
    let refused =
        user.post("/ui/webhooks", &[("url", "ftp://x"), ("lecture.failed", "on")]).await.expect(200).text;
    assert!(
        refused.contains("neither an https nor an http address") && refused.contains("ftp://x"),
        "{refused}"
    );
    let none = user.post("/ui/webhooks", &[("url", "https://hooks.example.org/")]).await.expect(200).text;
    assert!(none.contains("name at least one event"), "{none}");
    let all = [("url", "https://hooks.example.org/all"), ("scope", "all"), ("job.discarded", "on")];
    user.post("/ui/webhooks", &all).await.expect(403);
    let id = linked(&admin.post("/ui/webhooks", &all).await.expect(200).text);
    assert!(admin.get("/ui/webhooks").await.expect(200).text.contains("of all lectures"));
    user.get(&format!("/ui/webhooks/{id}")).await.expect(404);
    next(&admin.post(&format!("/ui/webhooks/{id}/switch"), &[("enabled", "false")]).await);
    let audit = admin.get("/ui/admin/audit").await.expect(200).text;
    for shown in ["create-webhook", "change-webhook", &format!("href=\"/ui/webhooks/{id}\"")] {
        assert!(audit.contains(shown), "{shown}: {audit}");
    }
    let callbacks = user.get("/ui/webhooks/callbacks").await.expect(200).text;
    assert!(callbacks.contains("No message yet"), "{callbacks}");
    let secret = user.post("/ui/webhooks/callbacks/rotate", &[]).await.expect(200).text;
    assert!(secret.contains("whsec_"), "{secret}");
}

/// The limit of the API: a test and a redelivery cost one submission each.
#[tokio::test]
async fn tests_and_redeliveries_are_limited() {
    let app = App::limited_to(4).await;
    let user = Browser::of_user(&app, 0).await;
    let fields = [("url", "https://hooks.example.org/in"), ("lecture.completed", "on")];
    let id = linked(&user.post("/ui/webhooks", &fields).await.expect(200).text);
    let address = format!("/ui/webhooks/{id}");
    next(&user.post(&format!("{address}/test"), &[]).await);
    let log = user.get(&address).await.expect(200).text;
    let (_, message) = log.split_once(&format!("{address}/messages/")).unwrap();
    let message = message.split('/').next().unwrap();
    let again = format!("{address}/messages/{message}/redeliver");
    for _ in 0..2 {
        next(&user.post(&again, &[]).await);
    }
    let of_callback = format!("/ui/webhooks/callbacks/messages/{message}/redeliver");
    for path in [again, format!("{address}/test"), of_callback] {
        let refused = user.post(&path, &[]).await.expect(429);
        assert!(!refused.header("retry-after").is_empty(), "{path}");
    }
    let path = format!("/api/webhooks/{id}/deliveries/{message}/redeliver");
    app.request(0, reqwest::Method::POST, &path).answer().await.problem(429, "rate_limited");
    user.get(&address).await.expect(200);
}

#[tokio::test]
async fn a_receiver_that_is_down_is_no_host() {
    let app = App::start().await;
    sqlx::raw_sql(
        "INSERT INTO queue.breakers (group_key, failures, failed_at, opened_at, probe_at, probes, class, message)
         VALUES ('webhook:00000000-0000-0000-0000-000000000001', 5, now(), now(), now(), 0, 'network', 'refused'),
                ('callbacks:00000000-0000-0000-0000-000000000002:<i>:443', 5, now(), now(), now(), 0, 'network', 'refused')",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let page = Browser::of_admin(&app).await.get("/ui/admin/hosts").await.expect(200).text;
    for shown in [
        "Receiver of the webhook",
        "href=\"/ui/webhooks/00000000-0000-0000-0000-000000000001\"",
        "Callbacks of <span class=\"mono\">00000000-0000-0000-0000-000000000002</span> to",
        "&lt;i&gt;:443",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}
