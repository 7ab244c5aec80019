//! Every page: its status for each role, its headers, its weight, and text of users in it.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::super::{Answer, Answering, App, COURSE, SESSION, submission, viewer};
use super::Browser;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Markup that must never be markup on a page.
const MARKUP: &str = "<script>alert(1)</script>";

#[track_caller]
fn check(answer: &Answer) {
    assert_eq!(answer.header("content-security-policy"), POLICY);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.text.contains(" style=") && !answer.text.contains("<style"), "inline style");
    assert!(!answer.text.contains(" onclick=") && !answer.text.contains("hx-on"), "inline script");
    assert!(!answer.text.contains(MARKUP), "{}", answer.text);
}

/// A lecture whose title is markup.
async fn lecture_of(app: &App, user: usize) -> Uuid {
    let mut body = submission();
    body["title"] = json!(MARKUP);
    app.submit(user, &body).await.expect(201).id("lecture_id")
}

#[tokio::test]
async fn pages_are_for_their_users() {
    let app = App::start().await;
    let lecture = lecture_of(&app, 0).await;
    let (own, other) = (Browser::of_user(&app, 0).await, Browser::of_user(&app, 1).await);
    let page = format!("/ui/lectures/{lecture}");
    for path in [
        "/ui/lectures",
        "/ui/lectures/new",
        "/ui/search",
        "/ui/search?q=word",
        "/ui/courses",
        "/ui/documents",
        &page,
    ] {
        let answer = own.get(path).await.expect(200);
        check(&answer);
        assert!(answer.text.contains("id=\"main\"") && answer.text.contains("Skip to the content"), "{path}");
        assert!(!answer.text.contains("/ui/overview"), "{path} shows operators' pages to a student");
        check(&Browser::new(&app).get(path).await.expect(303));
    }
    assert!(own.get("/ui/lectures").await.text.contains("&lt;script&gt;alert(1)"));
    for path in [page.as_str(), "/ui/lectures/x", "/ui/nothing", &format!("{page}/transcript")] {
        let answer = other.get(path).await.expect(404);
        check(&answer);
        assert!(answer.text.starts_with("<!DOCTYPE html>"), "{path}: {}", answer.text);
    }
    for action in ["retry", "cancel", "transcribe", "remove"] {
        check(&other.post(&format!("{page}/{action}"), &[]).await.expect(404));
    }
    check(&Browser::new(&app).get("/ui/sign-in").await.expect(200));
    assert_eq!(own.get("/").await.expect(303).header("location"), "/ui");
}

#[tokio::test]
async fn a_link_becomes_a_lecture_and_errors_stand_at_their_fields() {
    let app = App::start().await;
    let browser = Browser::of_user(&app, 0).await;
    let bad = browser.post(
        "/ui/lectures",
        &[("panopto_url", "https://example.org/x"), ("course_id", COURSE), ("title", MARKUP)],
    );
    let bad = bad.await.expect(422);
    check(&bad);
    assert!(
        bad.text.contains("aria-invalid=\"true\"") && bad.text.contains("https://example.org/x"),
        "{}",
        bad.text
    );

    let fields = [
        ("panopto_url", viewer(SESSION)),
        ("course_id", COURSE.to_owned()),
        ("vocabulary", "Krebs\n\nFourier".to_owned()),
    ];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let added = browser.post("/ui/lectures", &fields).await.expect(303);
    let page = added.header("location").to_owned();
    let answer = browser.get(&page).await.expect(200);
    check(&answer);
    assert!(answer.text.contains("Waiting: finding the recording"), "{}", answer.text);
    let lecture: Uuid = page.rsplit('/').next().unwrap().parse().unwrap();
    let terms: Vec<String> =
        sqlx::query_scalar("SELECT unnest(vocabulary) FROM lecture_options WHERE lecture_id = $1")
            .bind(lecture)
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(terms, ["Krebs", "Fourier"]);

    app.set_failed(lecture).await;
    let failed = browser.get(&page).await.expect(200);
    assert!(failed.text.contains("it is gone") && failed.text.contains("/retry"), "{}", failed.text);
    browser.post(&format!("{page}/retry"), &[]).await.expect(303);
    let notice =
        browser.request(Method::POST, &format!("{page}/transcribe")).header("sec-fetch-site", "same-origin");
    let notice = notice.header("hx-request", "true").answer().await.expect(409);
    assert_eq!(notice.header("hx-retarget"), "#notice");
    browser.post(&format!("{page}/remove"), &[]).await.expect(303);
    browser.get(&page).await.expect(404);
}

#[tokio::test]
async fn a_ready_lecture_has_sound_and_transcript() {
    let app = App::start().await;
    let lecture = lecture_of(&app, 0).await;
    app.set_completed(lecture).await;
    let transcript = json!({ "segments": [{ "start": 61.5, "end": 63.0, "text": MARKUP }],
                             "gaps": [{ "start": 10.0, "end": 20.0, "reason": "no-words" }] });
    app.storage
        .put_bytes(&format!("transcripts/{lecture}.json"), transcript.to_string().into())
        .await
        .unwrap();
    let browser = Browser::of_user(&app, 0).await;
    let page = browser.get(&format!("/ui/lectures/{lecture}")).await.expect(200);
    check(&page);
    for part in ["<audio", "transcript.srt", "Open in Panopto", "Ready"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let list = browser.get(&format!("/ui/lectures/{lecture}/transcript")).await.expect(200);
    check(&list);
    assert!(list.text.contains("data-at=\"61.5\"") && list.text.contains("1:01"), "{}", list.text);
    assert!(list.text.contains("not understood"), "{}", list.text);
    browser.get(&format!("/api/lectures/{lecture}/transcript.txt")).await.expect(200);
}

#[tokio::test]
async fn courses_are_created_added_and_dropped() {
    let app = App::start().await;
    let browser = Browser::of_user(&app, 0).await;
    browser.post("/ui/courses", &[("code", "csc  173"), ("title", MARKUP)]).await.expect(303);
    let page = browser.get("/ui/courses").await.expect(200);
    check(&page);
    assert!(page.text.contains("CSC 173") && page.text.contains("/drop"), "{}", page.text);
    let taken = browser.post("/ui/courses", &[("code", "CSC 173"), ("title", "x")]).await.expect(409);
    assert!(taken.text.contains("A course with this code exists"), "{}", taken.text);
    browser.post("/ui/courses", &[("title", "x")]).await.expect(422);
    let id: Uuid = sqlx::query_scalar("SELECT id FROM courses").fetch_one(&app.pool).await.unwrap();
    browser.post(&format!("/ui/courses/{id}/drop"), &[]).await.expect(303);
    assert!(browser.get("/ui/courses").await.expect(200).text.contains("/add"));
    browser.post(&format!("/ui/courses/{}/add", Uuid::nil()), &[]).await.expect(404);
}

#[tokio::test]
async fn a_full_page_weighs_less_than_100_kb() {
    let app = App::start().await;
    for number in 0..30_u128 {
        let mut body = submission();
        body["panopto_url"] = json!(viewer(&Uuid::from_u128(number + 1).to_string()));
        body["title"] = json!(format!("Lecture {number}: a title of an ordinary length"));
        app.submit(0, &body).await.expect(201);
    }
    let browser = Browser::of_user(&app, 0).await;
    let page = browser.get("/ui/lectures").await.expect(200);
    assert!(page.text.contains("Show more"), "{}", page.text);
    let mut weight = page.text.len();
    for address in page.text.split('"').filter(|part| part.starts_with("/ui/assets/")) {
        let asset = browser.get(&address.replace("&amp;", "&")).await.expect(200);
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable", "{address}");
        let known = browser.request(Method::GET, address).header("if-none-match", asset.header("etag"));
        known.answer().await.expect(304);
        weight += asset.text.len();
    }
    assert!(weight < 100 * 1024, "{weight} bytes");
}
