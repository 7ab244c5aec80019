//! Pages while the database is away.

use std::time::{Duration, Instant};

use bedel::api::sign_in_codes;
use bedel_test_support::{Moment, PgProxy, Statement};
use reqwest::Method;
use sqlx::postgres::PgPoolOptions;
use tokio::time::timeout;

use super::super::{Answer, Answering, App};
use super::Browser;

/// Longest wait for an answer. The API waits five seconds for a connection.
const SOON: Duration = Duration::from_secs(10);

/// Longest wait for an answer whose statement hangs.
const LATE: Duration = Duration::from_secs(40);

/// An API whose connections lead through a proxy, with a pool like that of `bedel api`, which waits three times as long.
async fn through_proxy() -> (App, PgProxy) {
    let database = App::with_users(0).await;
    let proxy = PgProxy::start(&database.pool.connect_options()).unwrap();
    let options = PgPoolOptions::new().test_before_acquire(false).acquire_timeout(Duration::from_secs(1));
    let app = App::over(options.connect_lazy_with(proxy.options()), 1).await;
    (app, proxy)
}

#[track_caller]
fn check(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.header("content-security-policy").is_empty());
}

#[tokio::test]
async fn without_the_database_a_page_says_so_and_comes_back_by_itself() {
    let (app, mut proxy) = through_proxy().await;
    let code =
        sign_in_codes::create(&mut app.pool.acquire().await.unwrap(), app.users[0], false).await.unwrap();
    let browser = Browser::of_user(&app, 0).await;
    browser.get("/ui/lectures").await.expect(200);
    proxy.cut();

    let link = format!("/ui/sign-in/{code}");
    for path in ["/ui/lectures", "/ui/search?q=word", "/ui/admin/overview", link.as_str()] {
        let began = Instant::now();
        let page = browser.get(path).await;
        assert!(began.elapsed() < SOON, "{path} took {:?}", began.elapsed());
        check(&page);
        assert!(page.text.starts_with("<!DOCTYPE html>"), "{path}: {}", page.text);
        for part in
            ["<h1>One moment</h1>", "The database is unavailable", r#"http-equiv="refresh" content="5""#]
        {
            assert!(page.text.contains(part), "{path} lacks {part}: {}", page.text);
        }
    }
    // A change is not repeated by reloading, so its page waits for the user.
    for path in ["/ui/courses", "/ui/sign-out", link.as_str()] {
        let page = browser.post(path, &[]).await;
        check(&page);
        assert!(
            page.text.contains("repeat it") && !page.text.contains("http-equiv"),
            "{path}: {}",
            page.text
        );
    }
    let request = browser.request(Method::GET, "/ui/courses").header("sec-fetch-site", "same-origin");
    let notice = request.header("hx-request", "true").answer().await;
    check(&notice);
    assert_eq!(notice.header("hx-retarget"), "#notice");
    assert!(notice.text.contains("role=\"alert\"") && !notice.text.contains("<html"), "{}", notice.text);
    browser.get("/ui/sign-in").await.expect(200);
    browser.request(Method::GET, "/api/courses").answer().await.problem(503, "unavailable");

    proxy.restore().unwrap();
    let began = Instant::now();
    while browser.get("/ui/lectures").await.status != 200 {
        assert!(began.elapsed() < SOON, "the page does not come back");
    }
    // Nothing was lost: the session lives, and the link still signs in.
    browser.post(&link, &[]).await.expect(303);
}

/// A network that swallows packets breaks no connection. Nor does the server's statement timeout help then.
#[tokio::test]
async fn a_page_whose_statement_hangs_is_answered() {
    let (app, proxy) = through_proxy().await;
    let browser = Browser::of_user(&app, 0).await;
    let mut hold = proxy.hold(Statement::Named("sessions::read"), Moment::Before);
    let page = timeout(LATE, browser.get("/ui/lectures")).await.expect("an answer");
    assert!(hold.reached(Duration::ZERO).await, "the statement was not held");
    check(&page);
    assert!(page.text.contains("its database hangs"), "{}", page.text);
}

#[tokio::test]
async fn a_method_that_a_page_does_not_have_is_answered_by_a_page() {
    let app = App::start().await;
    let answer = Browser::new(&app).get("/ui/sign-out").await.expect(405);
    assert_eq!(answer.header("allow"), "POST");
    assert!(answer.text.starts_with("<!DOCTYPE html>"), "{}", answer.text);
    app.anonymous(Method::PUT, "/livez").answer().await.problem(405, "method_not_allowed");
}
