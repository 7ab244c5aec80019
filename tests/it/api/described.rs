//! The API's description, and the page that shows it.

use reqwest::Method;
use serde_json::Value;

use super::{Answering, App};

#[tokio::test]
async fn the_description_is_served_to_anybody_and_is_the_one_that_is_checked_in() {
    let app = App::start().await;
    let served = app.anonymous(Method::GET, "/api/openapi.json").answer().await.expect(200);
    assert_eq!(served.header("content-type"), "application/json");
    let checked_in: Value = serde_json::from_str(&bedel::api::description()).unwrap();
    assert_eq!(served.json(), checked_in);
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let app = App::start().await;
    let page = app.anonymous(Method::GET, "/docs").answer().await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let script = app.anonymous(Method::GET, "/docs/page.js").answer().await.expect(200);
    assert!(script.header("content-type").starts_with("text/javascript"));
    for text in [&page.text, &script.text] {
        assert!(!text.contains("http://") && !text.contains("https://"), "nothing from elsewhere");
    }
}

/// Every described operation exists and requires a credential unless it is marked open.
#[tokio::test]
async fn every_operation_exists_and_requires_a_credential() {
    let app = App::start().await;
    let api: Value = serde_json::from_str(&bedel::api::description()).unwrap();
    for (path, item) in api["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "x")
            .replace("{course_id}", "x")
            .replace("{queue}", "x")
            .replace("{name}", "x");
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = app.anonymous(method, &path).answer().await;
            let expected = if operation.get("security").is_some() { 401 } else { 200 };
            assert_eq!(answer.status.as_u16(), expected, "{path}");
        }
    }
}
