//! Live updates of the operators' pages.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::{Answer, Answering, App};
use super::Browser;
use super::live::{Stream, transactions};

/// Longer than two rounds of the poller that read the queue.
const TWO_ROUNDS: Duration = Duration::from_millis(4000);

async fn add_job(app: &App) -> Uuid {
    sqlx::query_scalar(
        "INSERT INTO queue.jobs (kind, args, run_at, give_up_at, give_up_after, max_attempts, max_crashes)
         VALUES ('course-sync', '{}', now() + interval '1 hour', now() + interval '1 day', '1 day', 5, 3) RETURNING id",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

/// The address of a page's stream, without its path.
fn topics(page: &Answer) -> String {
    let (_, rest) = page.text.split_once("hx-sse:connect=\"/ui/live?").expect("a stream");
    rest.split_once('"').expect("its end").0.replace("&amp;", "&")
}

async fn update(browser: &Browser<'_>, path: &str) -> Answer {
    let request = browser.request(Method::GET, path).header("sec-fetch-site", "same-origin");
    request.header("hx-request", "true").answer().await.expect(200)
}

#[tokio::test]
async fn a_change_between_the_page_and_its_stream_is_sent_once() {
    let app = App::start().await;
    let browser = Browser::of_admin(&app).await;
    // The poller runs: another tab is open, and has heard of a change.
    let mut other = Stream::open(&browser, "jobs").await;
    add_job(&app).await;
    other.wait_for("event: jobs\n").await;
    let page = browser.get("/ui/admin/jobs").await.expect(200);
    let job = add_job(&app).await;
    other.wait_for("event: jobs\n").await;
    let mut late = Stream::with_query(&browser, &topics(&page)).await;
    late.wait_for("event: jobs\n").await;
    // A page that is up to date hears of later changes only.
    let page = browser.get(&format!("/ui/admin/jobs/{job}")).await.expect(200);
    let mut fresh = Stream::with_query(&browser, &format!("{},workers", topics(&page))).await;
    fresh.hears_nothing(TWO_ROUNDS).await;
    sqlx::query("UPDATE queue.jobs SET run_at = now() + interval '2 hours' WHERE id = $1")
        .bind(job)
        .execute(&app.pool)
        .await
        .unwrap();
    fresh.wait_for(&format!("event: job-{job}\n")).await;
    fresh.hears_nothing(TWO_ROUNDS).await;
}

#[tokio::test]
async fn an_update_is_rendered_once_for_all_tabs_and_never_without_the_last_change() {
    let app = App::start().await;
    let (one, two) = (Browser::of_admin(&app).await, Browser::of_admin(&app).await);
    let mut streams = Vec::new();
    for browser in [&one, &two] {
        streams.push(Stream::open(browser, "jobs").await);
    }
    for _ in 0..5 {
        let job = add_job(&app).await.to_string();
        for stream in &mut streams {
            stream.wait_for("event: jobs\n").await;
        }
        let answers = join_all([&one, &two].map(|browser| update(browser, "/ui/admin/jobs"))).await;
        assert!(answers.iter().all(|answer| answer.text.contains(&job)), "the page misses {job}");
        assert_eq!(answers[0].text, answers[1].text, "rendered twice");
        assert!(
            answers
                .iter()
                .all(|answer| answer.header("content-security-policy").contains("default-src 'none'"))
        );
    }
    // Another site gets nothing of it.
    let foreign = one.request(Method::GET, "/ui/admin/jobs").header("sec-fetch-site", "same-site");
    foreign.header("hx-request", "true").answer().await.expect(403);
    // Without an open tab, and for users, nothing is shared.
    let user = Browser::of_user(&app, 0).await;
    let _lectures = Stream::open(&user, "lectures").await;
    let request = user.request(Method::GET, "/ui/admin/jobs").header("sec-fetch-site", "same-origin");
    request.header("hx-request", "true").answer().await.expect(403);
    one.post("/ui/sign-out", &[]).await.expect(303);
    let request = one.request(Method::GET, "/ui/admin/jobs").header("sec-fetch-site", "same-origin");
    let answer = request.header("hx-request", "true").answer().await.expect(204);
    assert_eq!(answer.header("hx-redirect"), "/ui/sign-in");
}

/// Fifty tabs of an operator that ask again after each change, while jobs are added all the time.
#[tokio::test]
async fn fifty_busy_tabs_cost_two_transactions_a_second() {
    const TABS: usize = 50;
    let database = App::with_users(0).await;
    // As in production: a pool that pings before each use would count as another statement.
    let options = PgPoolOptions::new().test_before_acquire(false);
    let app = App::over(options.connect_lazy_with((*database.pool.connect_options()).clone()), 1).await;
    let browser = Browser::of_admin(&app).await;
    let stop = CancellationToken::new();
    let tabs = join_all((0..TABS).map(async |_| {
        let mut stream = Stream::open(&browser, "overview").await;
        let mut updates = 0;
        // The poller sends at most one event every 1.8 seconds.
        while !stop.is_cancelled() {
            stream.wait_for("event: overview\n").await;
            update(&browser, "/ui/admin/overview?part=now").await;
            updates += 1;
        }
        updates
    }));
    let load = async {
        // A server process may report its statements ten seconds late, so the first windows may hold earlier ones.
        let mut spent = Vec::new();
        for _ in 0..4 {
            let before = transactions(&app).await;
            for _ in 0..20 {
                add_job(&database).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            // Each job was a transaction.
            spent.push(transactions(&app).await - before - 20);
        }
        stop.cancel();
        // The tabs wait for another change.
        for _ in 0..4 {
            add_job(&database).await;
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        spent
    };
    let (updates, spent) = tokio::join!(tabs, load);
    assert!(updates.iter().all(|count| *count >= 8), "{updates:?}");
    let least = spent.iter().min().copied().unwrap_or_default();
    // Each window takes 7.1 seconds and holds the count itself.
    assert!((5..=16).contains(&least), "{spent:?} transactions in 7 s each");
}
