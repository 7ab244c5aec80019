//! CORS.

use reqwest::{Method, RequestBuilder};

use super::{Answer, Answering, App, EXTENSION, PANOPTO};

async fn preflight(app: &App, origin: &str, path: &str, method: &str) -> Answer {
    app.anonymous(Method::OPTIONS, path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type")
        .answer()
        .await
}

fn from(origin: &str, request: RequestBuilder) -> RequestBuilder {
    request.header("origin", origin)
}

#[tokio::test]
async fn named_origins_may_ask_and_preflights_need_no_credential() {
    let app = App::start().await;
    for origin in [PANOPTO, EXTENSION] {
        for (path, method) in
            [("/api/lectures/download", "POST"), ("/api/courses", "GET"), ("/api/lectures/x", "DELETE")]
        {
            let allowed = preflight(&app, origin, path, method).await.expect(200);
            assert_eq!(allowed.header("access-control-allow-origin"), origin);
            assert!(allowed.header("access-control-allow-methods").contains(method));
            let headers = allowed.header("access-control-allow-headers").to_ascii_lowercase();
            assert!(headers.contains("authorization") && headers.contains("content-type"), "{headers}");
            assert_eq!(allowed.header("access-control-max-age"), "600");
        }
        let answer = from(origin, app.request(0, Method::GET, "/api/courses")).answer().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(answer.header("vary").to_ascii_lowercase().contains("origin"));
        // Errors must be readable too, or the page could not show them.
        let refused = from(origin, app.anonymous(Method::GET, "/api/courses")).answer().await;
        refused.problem(401, "unauthenticated");
        assert_eq!(refused.header("access-control-allow-origin"), origin);
    }
}

#[tokio::test]
async fn other_origins_get_no_cors_headers() {
    let app = App::start().await;
    for origin in [
        "https://evil.example",
        "https://x.rochester.hosted.panopto.com",
        "http://rochester.hosted.panopto.com",
        "null",
    ] {
        let refused = preflight(&app, origin, "/api/courses", "GET").await;
        assert_eq!(refused.header("access-control-allow-origin"), "", "{origin}");
        let answer = from(origin, app.request(0, Method::GET, "/api/courses")).answer().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert!(answer.header("vary").to_ascii_lowercase().contains("origin"), "caches must know");
    }
}
