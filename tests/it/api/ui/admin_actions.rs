//! What operators do. Each action is recorded.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{Answering, App, submission};
use super::{Browser, next};

/// Actions in the audit log, oldest first.
async fn audited(app: &App) -> Vec<(String, String)> {
    sqlx::query_as("SELECT action, source FROM audit_log ORDER BY id").fetch_all(&app.pool).await.unwrap()
}

async fn state(app: &App, job: Uuid) -> String {
    app.text("SELECT state::text FROM queue.jobs WHERE id = $1", job).await.unwrap()
}

#[tokio::test]
async fn jobs_lanes_and_schedules_are_changed_and_it_is_recorded() {
    let app = App::start().await;
    let submitted = app.submit(0, &submission()).await.expect(201);
    let job = submitted.id("job_id");
    sqlx::raw_sql("INSERT INTO queue.schedules (name, cron, last_tick) VALUES ('course-sync', '0 6 * * 1', '2026-11-23 06:00Z')")
        .execute(&app.pool)
        .await
        .unwrap();
    let admin = Browser::of_admin(&app).await;
    let address = format!("/ui/admin/jobs/{job}");
    assert_eq!(next(&admin.post(&format!("{address}/cancel"), &[]).await), address);
    assert_eq!(state(&app, job).await, "cancelled");
    admin.post(&format!("{address}/cancel"), &[]).await.expect(409);
    let retried = admin.post(&format!("{address}/retry"), &[]).await;
    let due: Uuid = next(&retried).rsplit('/').next().unwrap().parse().unwrap();
    assert_eq!(state(&app, due).await, "available");
    let shown = admin.get(&format!("/ui/admin/jobs/{due}")).await.expect(200).text;
    assert!(shown.contains("Jobs before it") && shown.contains(&job.to_string()), "{shown}");

    assert_eq!(next(&admin.post("/ui/admin/queues/pause", &[("name", "panopto")]).await), "/ui/admin/queues");
    let queues = admin.get("/ui/admin/queues").await.expect(200).text;
    assert!(queues.contains("Paused") && queues.contains("Resume panopto"), "{queues}");
    next(&admin.post("/ui/admin/queues/resume", &[("name", "panopto")]).await);
    admin.post("/ui/admin/queues/pause", &[("name", "panoptO")]).await.expect(404);

    let schedules = admin.get("/ui/admin/schedules").await.expect(200).text;
    assert!(schedules.contains("2026-11-30T06:00:00Z"), "the next tick is missing: {schedules}");
    let run = admin.post("/ui/admin/schedules/run", &[("name", "course-sync")]).await;
    assert!(next(&run).starts_with("/ui/admin/jobs/"));
    admin.post("/ui/admin/schedules/run", &[("name", "submit")]).await.expect(404);

    let actions = ["cancel-job", "retry-job", "pause-queue", "resume-queue", "run-schedule"];
    assert_eq!(audited(&app).await, actions.map(|action| (action.to_owned(), "ui".to_owned())));
    let page = admin.get("/ui/admin/audit").await.expect(200).text;
    assert!(actions.iter().all(|action| page.contains(action)), "{page}");
}

#[tokio::test]
async fn a_bulk_operation_is_previewed_started_watched_and_stopped() {
    let app = App::start().await;
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (state, finalized_at, kind, args, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'discarded', now(), 'course-sync', '{}', now() + '1 day', '1 day', 5, 3 FROM generate_series(1, 12)",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let admin = Browser::of_admin(&app).await;
    let preview = admin
        .get("/ui/admin/jobs/bulk?state=discarded&action=reprioritise&priority=4")
        .await
        .expect(200)
        .text;
    assert!(preview.contains("Set priority 4 for 12 jobs?"), "{preview}");
    assert_eq!(audited(&app).await, [], "a preview changes nothing");
    admin.get("/ui/admin/jobs/bulk?state=discarded&action=explode").await.expect(400);
    admin.post("/ui/admin/jobs/bulk", &[("action", "delete"), ("state", "")]).await.expect(400);
    let fields = [("state", "discarded"), ("action", "retry"), ("priority", "2")];
    let started = admin.post("/ui/admin/jobs/bulk", &fields).await;
    let address = next(&started).to_owned();
    let shown = admin.get(&address).await.expect(200).text;
    assert!(shown.contains("Working") && shown.contains("/stop\"") && shown.contains("every 2s"), "{shown}");
    assert_eq!(next(&admin.post(&format!("{address}/stop"), &[]).await), address);
    let shown = admin.get(&address).await.expect(200).text;
    assert!(shown.contains("Stopped") && !shown.contains("every 2s"), "{shown}");
    assert!(admin.get("/ui/admin/bulk").await.expect(200).text.contains(&address));
    admin.post(&format!("/ui/admin/bulk/{}/stop", Uuid::new_v4()), &[]).await.expect(404);
    let actions: Vec<String> = audited(&app).await.into_iter().map(|(action, _)| action).collect();
    assert!(
        actions.contains(&"start-bulk".to_owned()) && actions.contains(&"stop-bulk".to_owned()),
        "{actions:?}"
    );
}

#[tokio::test]
async fn orphans_are_deleted_only_after_a_dry_run_and_a_confirmation() {
    let app = App::start().await;
    let admin = Browser::of_admin(&app).await;
    let args = "SELECT args::text FROM queue.jobs WHERE id = $1";
    let run = async |dry: &str| -> Uuid {
        let started = admin.post("/ui/admin/orphans", &[("dry_run", dry)]).await;
        next(&started).rsplit('=').next().unwrap().parse().unwrap()
    };
    let dry = run("true").await;
    let value: Value = serde_json::from_str(&app.text(args, dry).await.unwrap()).unwrap();
    assert_eq!(value["dry_run"], true);
    let page = format!("/ui/admin/orphans?run={dry}");
    assert!(!admin.get(&page).await.expect(200).text.contains("orphans…"));
    admin.get(&format!("/ui/admin/orphans/confirm?run={dry}")).await.expect(409);
    let report =
        json!({ "dry_run": true, "refused": null, "listed": 9, "orphans": 3, "examples": ["audio/<x>"] });
    sqlx::query("UPDATE queue.jobs SET state = 'completed', finalized_at = now(), result = $2 WHERE id = $1")
        .bind(dry)
        .bind(report)
        .execute(&app.pool)
        .await
        .unwrap();
    let shown = admin.get(&page).await.expect(200).text;
    assert!(shown.contains("Clean up 3 orphans…") && shown.contains("audio/&lt;x&gt;"), "{shown}");
    let asked = admin.get(&format!("/ui/admin/orphans/confirm?run={dry}")).await.expect(200).text;
    assert!(asked.contains("Clean up 3 orphans?"), "{asked}");
    let real = run("false").await;
    let value: Value = serde_json::from_str(&app.text(args, real).await.unwrap()).unwrap();
    assert_eq!(value["dry_run"], false);
    // A form without the field changes nothing either.
    let unknown = run("maybe").await;
    assert!(app.text(args, unknown).await.unwrap().contains("true"));
}

#[tokio::test]
async fn a_form_of_another_site_or_of_a_user_changes_nothing() {
    let app = App::start().await;
    let job = app.submit(0, &submission()).await.expect(201).id("job_id");
    let (admin, user) = (Browser::of_admin(&app).await, Browser::of_user(&app, 0).await);
    let form = |path: &str, fields: &[(&str, &str)]| admin.request(Method::POST, path).form(fields);
    let retry = format!("/ui/admin/jobs/{job}/retry");
    let cancel = format!("/ui/admin/jobs/{job}/cancel");
    for (path, fields) in [
        (retry.as_str(), &[][..]),
        (&cancel, &[]),
        ("/ui/admin/queues/pause", &[("name", "panopto")]),
        ("/ui/admin/queues/resume", &[("name", "panopto")]),
        ("/ui/admin/schedules/run", &[("name", "course-sync")]),
        ("/ui/admin/orphans", &[("dry_run", "false")]),
        ("/ui/admin/jobs/bulk", &[("action", "cancel"), ("kind", "submit")]),
        ("/ui/admin/bulk/00000000-0000-0000-0000-000000000001/stop", &[]),
    ] {
        user.post(path, fields).await.expect(403);
        for site in ["cross-site", "same-site"] {
            form(path, fields).header("sec-fetch-site", site).answer().await.expect(403);
        }
        form(path, fields).header("origin", "https://evil.example").answer().await.expect(403);
        form(path, fields).answer().await.expect(403);
    }
    assert_eq!(state(&app, job).await, "available");
    assert_eq!(audited(&app).await, []);
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM queue.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(jobs, 1);
}
