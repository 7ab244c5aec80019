//! What operators see.

use uuid::Uuid;

use super::super::{App, submission};
use super::Browser;

/// Every page without an id.
pub(super) const PAGES: [&str; 11] = [
    "/ui/admin/overview",
    "/ui/admin/jobs",
    "/ui/admin/jobs/bulk?action=retry&kind=submit",
    "/ui/admin/bulk",
    "/ui/admin/queues",
    "/ui/admin/workers",
    "/ui/admin/hosts",
    "/ui/admin/schedules",
    "/ui/admin/orphans",
    "/ui/admin/audit",
    "/ui/admin/settings",
];

/// Largest page, in bytes: its assets take 63 of 100 KiB.
pub(super) const MAX_BYTES: usize = 36 * 1024;

#[tokio::test]
async fn each_page_is_for_admins() {
    let app = App::start().await;
    let job = app.submit(0, &submission()).await.expect(201).id("job_id");
    let (admin, user) = (Browser::of_admin(&app).await, Browser::of_user(&app, 0).await);
    let one = format!("/ui/admin/jobs/{job}");
    for path in PAGES.into_iter().chain([one.as_str()]) {
        let page = admin.get(path).await.expect(200);
        assert_eq!(page.text.matches("<h1").count(), 1, "{path}");
        assert_eq!(page.text.matches("<main").count(), 1, "{path}");
        assert_eq!(page.text.matches("<table").count(), page.text.matches("<caption").count(), "{path}");
        assert!(!page.text.contains("style=") && !page.text.contains("<script>"), "{path}");
        assert!(page.text.len() < MAX_BYTES, "{path}: {} bytes", page.text.len());
        user.get(path).await.expect(403);
        Browser::new(&app).get(path).await.expect(303);
    }
    for part in ["now", "history"] {
        let part = admin.get(&format!("/ui/admin/overview?part={part}")).await.expect(200);
        assert!(!part.text.contains("<html"), "{}", part.text);
    }
    for kind in ["jobs", "bulk"] {
        admin.get(&format!("/ui/admin/{kind}/{}", Uuid::new_v4())).await.expect(404);
        admin.get(&format!("/ui/admin/{kind}/x")).await.expect(404);
    }
}

#[tokio::test]
async fn hostile_text_is_escaped() {
    let app = App::start().await;
    let job = app.submit(0, &submission()).await.expect(201).id("job_id");
    app.execute(
        "INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
         VALUES ($1, 1, '<b>host</b>', 'network', E'<script>alert(1)</script> \\u202Etxt.exe')",
        job,
    )
    .await;
    app.execute("UPDATE queue.jobs SET attempt = 1, errors = 1, reason = '<img src=x onerror=alert(1)>' WHERE id = $1", job).await;
    sqlx::raw_sql(
        "INSERT INTO queue.breakers (group_key, failures, failed_at, opened_at, probe_at, probes, class, message)
         VALUES ('<i>down</i>', 5, now(), now(), now(), 3, 'timeout', '<script>alert(1)</script>');
         INSERT INTO queue.workers (id, name) VALUES (gen_random_uuid(), '<b>worker</b>');",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let admin = Browser::of_admin(&app).await;
    let shown = admin.get(&format!("/ui/admin/jobs/{job}")).await.expect(200).text;
    assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt; &lt;U+202E&gt;txt.exe"), "{shown}");
    assert!(shown.contains("no connection; nothing to do"), "the remedy of the class is missing");
    for path in ["/ui/admin/jobs", "/ui/admin/hosts", "/ui/admin/workers", "/ui/admin/jobs?kind=%3Cscript%3E"]
    {
        let page = admin.get(path).await.expect(200).text;
        for bad in ["<script>alert", "<img", "<b>worker", "<i>down", "value=\"<script>"] {
            // The brand is the only image.
            assert!(!page.replace("<img src=\"/ui/assets", "").contains(bad), "{bad} in {path}");
        }
    }
}

#[tokio::test]
async fn jobs_are_filtered_by_an_address_and_read_page_by_page() {
    let app = App::start().await;
    app.submit(0, &submission()).await.expect(201);
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (kind, args, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'course-sync', '{}', now() + '1 day', '1 day', 5, 3 FROM generate_series(1, 60)",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let admin = Browser::of_admin(&app).await;
    let all = admin.get("/ui/admin/jobs").await.expect(200).text;
    assert!(all.contains("61 jobs") && all.contains("Set at least one condition first"), "{all}");
    let first = admin
        .get("/ui/admin/jobs?kind=course-sync&state=&from=&until=2199-01-01T00%3A00")
        .await
        .expect(200)
        .text;
    assert!(first.contains("60 jobs") && first.contains("Set priority…"), "{first}");
    let rows = |page: &str| page.matches("class=\"title\" href=\"/ui/admin/jobs/").count();
    assert_eq!(rows(&first), 25);
    let (_, link) = first.split_once("rel=\"next\" href=\"").unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    assert!(link.contains("kind=course-sync"), "{link}");
    assert_eq!(rows(&admin.get(&link).await.expect(200).text), 25);
    let refused = admin.get("/ui/admin/jobs?user_id=x&state=done").await.expect(200).text;
    assert!(
        refused.contains("this must be a UUID") && refused.contains("aria-invalid=\"true\""),
        "{refused}"
    );
    let none = admin.get("/ui/admin/jobs?error_class=network").await.expect(200).text;
    assert!(none.contains("No job matches"), "{none}");
}
