//! The session's cookie counts for pages of the same origin alone.

use reqwest::{Method, RequestBuilder};

use super::super::{Answering, App, EXTENSION, PANOPTO, submission, token};
use super::Browser;

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

/// Neither may a page whose origin CORS allows, though it may read answers: it has to send a token.
#[tokio::test]
async fn origins_that_cors_allows_cannot_use_the_cookie() {
    let app = App::start().await;
    let browser = Browser::of_user(&app, 0).await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let (api, page) = (format!("/api/lectures/{lecture}"), format!("/ui/lectures/{lecture}"));
    for origin in [PANOPTO, EXTENSION] {
        // A browser without Fetch Metadata; a subdomain's page; an extension that may ask any host.
        for site in [None, Some("same-site"), Some("cross-site"), Some("none")] {
            let from = |method: Method, path: &str| {
                let request = browser.request(method, path).header("origin", origin);
                site.into_iter().fold(request.header("sec-fetch-mode", "cors"), |request, site| {
                    request.header("sec-fetch-site", site)
                })
            };
            for (method, path) in [(Method::GET, &api), (Method::DELETE, &api), (Method::GET, &page)] {
                let refused = from(method.clone(), path).answer().await;
                assert_eq!(refused.status, 403, "{method} {path} {origin} {site:?}: {}", refused.text);
                let may_read = if path == &page { "" } else { origin };
                assert_eq!(refused.header("access-control-allow-origin"), may_read, "{path}");
            }
            // With a token the cookie is ignored: user 1 is not linked to the lecture.
            from(Method::GET, &api).bearer_auth(token(1)).answer().await.problem(404, "not_found");
            from(Method::GET, &api).bearer_auth(token(0)).answer().await.expect(200);
        }
    }
    browser.get(&page).await.expect(200);
}

#[tokio::test]
async fn other_sites_may_link_to_a_page_and_not_fetch_it() {
    let app = App::start().await;
    let browser = Browser::of_user(&app, 0).await;
    let from = |site: &str, mode: &str| {
        let request = browser.request(Method::GET, "/ui/lectures").header("sec-fetch-site", site);
        request.header("sec-fetch-mode", mode)
    };
    from("same-site", "navigate").answer().await.expect(200);
    from("none", "navigate").answer().await.expect(200);
    from("same-site", "no-cors").answer().await.expect(403);
    from("same-site", "cors").header("origin", "https://other.example").answer().await.expect(403);
}

/// Browsers send no Fetch Metadata over plain HTTP to another machine, so `Origin` decides.
#[tokio::test]
async fn a_proxy_may_replace_the_host_if_it_passes_the_first_one_on() {
    let app = App::start().await;
    let through = |request: RequestBuilder, origin: &str| {
        request.header("host", "upstream").header("origin", origin).form(&[("token", token(0))])
    };
    let post = || Browser::new(&app).request(Method::POST, "/ui/sign-in");
    let lost = through(post(), "http://bedel.example:8080").answer().await.expect(403);
    assert!(lost.text.contains("X-Forwarded-Host"), "the remedy: {}", lost.text);
    for passed_on in ["bedel.example:8080", "Bedel.Example:8080, inner"] {
        let request = post().header("x-forwarded-host", passed_on);
        through(request, "http://bedel.example:8080").answer().await.expect(303);
    }
    for origin in ["http://evil.example", "http://upstream", "null"] {
        let request = post().header("x-forwarded-host", "bedel.example:8080");
        through(request, origin).answer().await.expect(403);
    }
    // A page that a network attacker serves without TLS is another origin.
    let request =
        post().header("x-forwarded-host", "bedel.example:8080").header("x-forwarded-proto", "https");
    through(request, "http://bedel.example:8080").answer().await.expect(403);

    // A page of another origin cannot send the header: no preflight allows it.
    let preflight = app
        .anonymous(Method::OPTIONS, "/api/lectures/batch")
        .header("origin", PANOPTO)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-forwarded-host");
    let allowed = preflight.answer().await;
    let allowed = allowed.header("access-control-allow-headers").to_ascii_lowercase();
    assert!(
        allowed.contains("authorization") && !allowed.contains("forwarded") && !allowed.contains('*'),
        "{allowed}"
    );
    let preflight = app
        .anonymous(Method::OPTIONS, "/ui/lectures")
        .header("origin", PANOPTO)
        .header("access-control-request-method", "POST");
    assert_eq!(
        preflight.answer().await.header("access-control-allow-origin"),
        "",
        "pages answer no preflight"
    );
}
