//! Signing in, sessions, and requests of other sites.

use bedel::api::{api_tokens, sign_in_codes};
use reqwest::Method;

use super::super::{Answering, App, COURSE, SESSION, submission, token, viewer};
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
async fn a_proxy_with_tls_gets_a_secure_cookie_and_no_target_leads_away() {
    let app = App::start().await;
    let browser = Browser::new(&app);
    let token = token(0);
    for next in ["https://evil.example/", "//evil.example/", "/ui/\\evil.example", "/api/health"] {
        let request = browser.request(Method::POST, "/ui/sign-in").header("sec-fetch-site", "same-origin");
        let request =
            request.header("x-forwarded-proto", "https").form(&[("token", token.as_str()), ("next", next)]);
        let answer = request.answer().await.expect(303);
        assert_eq!(answer.header("location"), "/ui", "{next}");
        assert!(answer.header("set-cookie").ends_with("; Secure"), "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let app = App::start().await;
    let mut connection = app.pool.acquire().await.unwrap();
    let code = sign_in_codes::create(&mut connection, app.users[0], true).await.unwrap();
    let mut browser = Browser::new(&app);
    let path = format!("/ui/sign-in/{code}");
    browser.request(Method::HEAD, &path).answer().await.expect(204);
    let answer = browser.get(&path).await.expect(303);
    browser.keep_cookie(&answer);
    assert!(browser.get("/ui/lectures").await.expect(200).text.contains("Operation"), "an admin's sidebar");
    let again = Browser::new(&app).get(&path).await.expect(401);
    assert!(again.text.contains("was used or has expired"), "{}", again.text);

    let late = sign_in_codes::create(&mut connection, app.users[0], true).await.unwrap();
    sqlx::query("UPDATE sign_in_codes SET expires_at = now()").execute(&app.pool).await.unwrap();
    Browser::new(&app).get(&format!("/ui/sign-in/{late}")).await.expect(401);
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
async fn other_sites_cannot_use_the_cookie() {
    let app = App::start().await;
    let browser = Browser::of_user(&app, 0).await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let host = app.base.trim_start_matches("http://").to_owned();
    let removal = format!("/ui/lectures/{lecture}/remove");
    for path in [removal.as_str(), "/ui/lectures", "/ui/sign-out", "/ui/sign-in", "/api/lectures/batch"] {
        for headers in [
            vec![("sec-fetch-site", "cross-site".to_owned())],
            vec![("sec-fetch-site", "same-site".to_owned())],
            vec![("sec-fetch-site", "cross-site".to_owned()), ("origin", format!("http://{host}"))],
            vec![("origin", "https://evil.example".to_owned())],
            vec![("origin", "null".to_owned())],
            vec![],
        ] {
            let request =
                headers.iter().fold(browser.request(Method::POST, path), |request, (name, value)| {
                    request.header(*name, value)
                });
            let answer = request.form(&[("token", token(0))]).answer().await;
            assert_eq!(answer.status, 403, "{path} {headers:?}: {}", answer.text);
        }
    }
    // The API accepts the cookie from our pages, also for reading.
    let path = format!("/api/lectures/{lecture}");
    browser.get(&path).await.expect(200);
    let foreign = browser.request(Method::GET, &path).header("sec-fetch-site", "same-site").answer().await;
    foreign.problem(403, "forbidden");
    let own =
        browser.request(Method::POST, &removal).header("origin", format!("http://{host}")).answer().await;
    assert_eq!(own.expect(303).header("location"), "/ui/lectures");
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
