//! Signing in and out, and sessions.

use bedel::api::{api_tokens, sign_in_codes};
use reqwest::Method;

use super::super::{Answer, Answering, App, COURSE, SESSION, token, viewer};
use super::Browser;

#[tokio::test]
async fn a_token_signs_in_and_out() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let away = browser.get("/ui/lectures?status=failed").await.expect(303);
    assert_eq!(away.header("location"), "/ui/sign-in?next=%2Fui%2Flectures%3Fstatus%3Dfailed");
    browser.get("/ui/sign-in").await.expect(200);
    let wrong = browser.post("/ui/sign-in", &[("token", "guess")]).await.expect(401);
    assert!(wrong.text.contains("unknown or no longer valid"), "{}", wrong.text);
    assert_eq!(wrong.header("set-cookie"), "");

    let fields = [("token", token(0)), ("next", "/ui/courses".to_owned())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = browser.post("/ui/sign-in", &fields).await.expect(303);
    assert_eq!(answer.header("location"), "/ui/courses");
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Strict; Path=/") && !cookie.contains("Secure"), "{cookie}");
    browser.keep_cookie(&answer);
    browser.get("/ui/lectures").await.expect(200);
    let stored: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sessions WHERE encode(sha256, 'hex') = $1 OR encode(credential, 'hex') = $1",
    )
    .bind(browser.cookie.trim_start_matches("bedel_session="))
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(stored, 0, "the cookie's value is not in the table");

    browser.post("/ui/sign-out", &[]).await.expect(303);
    browser.get("/ui/lectures").await.expect(303);
    let fragment =
        browser.request(Method::GET, "/ui/lectures").header("hx-request", "true").answer().await.expect(204);
    assert_eq!(fragment.header("hx-redirect"), "/ui/sign-in");
}

#[tokio::test]
async fn no_target_leads_away() {
    let app = App::start().await;
    let browser = Browser::new(&app);
    let token = token(0);
    for next in ["https://evil.example/", "//evil.example/", "/ui/\\evil.example", "/api/health"] {
        let answer =
            browser.post("/ui/sign-in", &[("token", token.as_str()), ("next", next)]).await.expect(303);
        assert_eq!(answer.header("location"), "/ui", "{next}");
    }
}

#[tokio::test]
async fn a_link_signs_in_once_and_only_its_button_uses_it_up() {
    let app = App::start().await;
    let mut connection = app.pool.acquire().await.unwrap();
    let code = sign_in_codes::create(&mut connection, app.users[0], true).await.unwrap();
    let mut browser = Browser::new(&app);
    let path = format!("/ui/sign-in/{code}");
    // A preview, a scanner, a browser that prefetches: as often as they like.
    for method in [Method::HEAD, Method::GET, Method::GET] {
        let page = browser.request(method, &path).answer().await.expect(200);
        assert_eq!(page.header("set-cookie"), "");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "strict-origin", "the code is in no Referer");
        browser.request(Method::GET, &path).header("sec-fetch-site", "cross-site").answer().await.expect(200);
    }
    let page = browser.get(&path).await;
    assert_eq!(page.text.matches("<button").count(), 1);
    assert!(
        page.text.contains(&format!(r#"<form class="form" method="post" action="{path}">"#)),
        "{}",
        page.text
    );
    let changed: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM sign_in_codes WHERE used_at IS NOT NULL)",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(changed, 0, "opening the link changes nothing");

    for site in ["cross-site", "same-site"] {
        let foreign = browser.request(Method::POST, &path).header("sec-fetch-site", site).answer().await;
        foreign.expect(403);
    }
    let answer = browser.post(&path, &[]).await.expect(303);
    assert_eq!(answer.header("location"), "/ui");
    browser.keep_cookie(&answer);
    assert!(browser.get("/ui/lectures").await.expect(200).text.contains("Operation"), "an admin's sidebar");

    let late = sign_in_codes::create(&mut connection, app.users[0], true).await.unwrap();
    sqlx::query("UPDATE sign_in_codes SET expires_at = now()").execute(&app.pool).await.unwrap();
    let other = Browser::new(&app);
    for code in [&code, &late, "unknown", "%FF"] {
        let path = format!("/ui/sign-in/{code}");
        for refused in [other.get(&path).await, other.post(&path, &[]).await] {
            let refused = refused.expect(401);
            assert!(refused.text.contains("was used or has expired"), "{}", refused.text);
            assert_eq!(refused.header("set-cookie"), "");
        }
    }
}

#[tokio::test]
async fn guessed_links_are_limited_and_good_ones_do_not_count() {
    let app = App::start().await;
    let mut connection = app.pool.acquire().await.unwrap();
    let code = sign_in_codes::create(&mut connection, app.users[0], false).await.unwrap();
    let (browser, path) = (Browser::new(&app), format!("/ui/sign-in/{code}"));
    for _ in 0..25 {
        browser.get(&path).await.expect(200);
    }
    for number in 0..10 {
        browser.get(&format!("/ui/sign-in/{number}")).await.expect(401);
        browser.post(&format!("/ui/sign-in/{number}"), &[]).await.expect(401);
    }
    assert_eq!(browser.get(&path).await.expect(429).header("retry-after"), "60");
    browser.post(&path, &[]).await.expect(429);
}

/// Sends a request as a proxy does that received it over TLS.
async fn over_tls(browser: &Browser<'_>, method: Method, path: &str, cookie: &str) -> Answer {
    let request = browser.request(method, path).header("sec-fetch-site", "same-origin");
    // The second proxy spoke HTTP to the third.
    let request = request.header("x-forwarded-proto", "https, http").header("cookie", cookie);
    request.form(&[("token", token(0))]).answer().await
}

#[tokio::test]
async fn over_tls_the_cookie_has_a_name_that_nobody_else_can_set() {
    let app = App::start().await;
    let browser = Browser::new(&app);
    let answer = over_tls(&browser, Method::POST, "/ui/sign-in", "").await.expect(303);
    let set = answer.header("set-cookie");
    assert!(set.starts_with("__Host-bedel_session=") && set.ends_with("; Secure"), "{set}");
    assert!(set.contains("; HttpOnly; SameSite=Strict; Path=/;") && !set.contains("Domain"), "{set}");
    let secure = set.split(';').next().unwrap();
    over_tls(&browser, Method::GET, "/ui/lectures", secure).await.expect(200);
    over_tls(&browser, Method::GET, "/api/courses", secure).await.expect(200);

    // A session of plain HTTP, and one that was planted: neither counts over TLS, alone or beside the other.
    let plain = Browser::of_user(&app, 1).await.cookie;
    over_tls(&browser, Method::GET, "/ui/lectures", &plain).await.expect(303);
    over_tls(&browser, Method::GET, "/api/courses", &plain).await.problem(401, "unauthenticated");
    let ended = "__Host-bedel_session=ended";
    over_tls(&browser, Method::GET, "/ui/lectures", &format!("{plain}; {ended}")).await.expect(303);
    let over_http = browser.request(Method::GET, "/ui/lectures").header("cookie", secure);
    over_http.answer().await.expect(303);

    let out =
        over_tls(&browser, Method::POST, "/ui/sign-out", &format!("{plain}; {secure}")).await.expect(303);
    let cleared: Vec<_> =
        out.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(
        cleared,
        [
            "__Host-bedel_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0; Secure",
            "bedel_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0",
        ]
    );
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&app.pool).await.unwrap();
    assert_eq!(left, 0, "both sessions of the browser ended");
}

#[tokio::test]
async fn a_session_ends_with_its_api_token_and_has_its_rights() {
    let app = App::start().await;
    let mut connection = app.pool.acquire().await.unwrap();
    let (id, read) =
        api_tokens::create(&mut connection, app.users[0], "a browser", api_tokens::READ, None).await.unwrap();
    let browser = Browser::with_token(&app, &read).await;
    browser.get("/ui/lectures").await.expect(200);
    let refused =
        browser.post("/ui/lectures", &[("panopto_url", &viewer(SESSION)), ("course_id", COURSE)]).await;
    assert!(refused.expect(403).text.contains("read-only"));
    assert!(api_tokens::revoke(&mut connection, id).await.unwrap());
    browser.get("/ui/lectures").await.expect(303);

    let (_, short) =
        api_tokens::create(&mut connection, app.users[0], "a browser", api_tokens::WRITE, Some(1))
            .await
            .unwrap();
    let browser = Browser::with_token(&app, &short).await;
    browser.get("/ui/lectures").await.expect(200);
    sqlx::query("UPDATE api_tokens SET expires_at = now()").execute(&app.pool).await.unwrap();
    browser.get("/ui/lectures").await.expect(303);
}

#[tokio::test]
async fn a_session_ends_by_time() {
    let app = App::start().await;
    for change in ["expires_at = now()", "last_seen_at = now() - interval '8 days'"] {
        let browser = Browser::of_user(&app, 0).await;
        browser.get("/ui/lectures").await.expect(200);
        let statement = format!("UPDATE sessions SET {change}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&app.pool).await.unwrap();
        browser.get("/ui/lectures").await.expect(303);
    }
}

#[tokio::test]
async fn guesses_are_limited() {
    let app = App::start().await;
    let browser = Browser::new(&app);
    for _ in 0..20 {
        browser.post("/ui/sign-in", &[("token", "guess")]).await.expect(401);
    }
    assert_eq!(
        browser.post("/ui/sign-in", &[("token", &token(0))]).await.expect(429).header("retry-after"),
        "60"
    );
}
