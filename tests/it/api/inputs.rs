//! Bad input, one row each.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answering, App, COURSE, SESSION, viewer};

fn with(field: &str, value: Value) -> Value {
    let mut body = json!({ "course_id": COURSE, "panopto_url": viewer(SESSION), "title": "Week 1" });
    body[field] = value;
    body
}

#[tokio::test]
async fn fields_that_cannot_be_accepted_are_named() {
    let app = App::start().await;
    let host = "https://rochester.hosted.panopto.com/Panopto";
    let table: Vec<(&str, Value)> = vec![
        ("course_id", Value::Null),
        ("course_id", json!("CSC 173")),
        ("course_id", json!(17)),
        ("course_id", json!("")),
        ("panopto_url", Value::Null),
        ("panopto_url", json!("  ")),
        ("panopto_url", json!({ "url": viewer(SESSION) })),
        ("panopto_url", json!("not a url")),
        ("panopto_url", json!(format!("{host}/Pages/Viewer.aspx?tid={SESSION}"))),
        ("panopto_url", json!(format!("{host}/Pages/Viewer.aspx?id=abc123"))),
        ("panopto_url", json!(format!("{host}/Pages/Viewer.aspx?pid={SESSION}"))),
        ("panopto_url", json!(format!("{host}/Pages/Sessions/List.aspx#folderID=%22{SESSION}%22"))),
        ("panopto_url", json!(format!("https://evil.example/Panopto/Pages/Viewer.aspx?id={SESSION}"))),
        (
            "panopto_url",
            json!(format!(
                "https://user@rochester.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={SESSION}"
            )),
        ),
        ("panopto_url", json!(format!("{}\u{0}", viewer(SESSION)))),
        ("panopto_url", json!(format!("{}&x={}", viewer(SESSION), "a".repeat(5000)))),
        ("stream_url", json!(1)),
        ("stream_url", json!("media.mp4")),
        ("stream_url", json!("ftp://media.example.org/a.mp4")),
        ("stream_url", json!("file:///etc/passwd")),
        ("stream_url", json!("https://user:secret@media.example.org/a.mp4")),
        ("stream_url", json!("http://127.0.0.1/a.mp4")),
        ("stream_url", json!("audio_podcast")),
        ("stream_url", json!("https://media.example.org/a\u{0}.mp4")),
        // The id beside a link without one.
        ("session_id", json!("abc123")),
        ("session_id", json!(["x"])),
        ("session_id", json!("\u{0}")),
        ("title", json!(false)),
        ("title", json!("Week\u{0}1")),
        ("title", json!("x".repeat(501))),
        ("title", json!("\u{1F600}".repeat(501))),
    ];
    for (field, value) in table {
        let mut body = with(field, value.clone());
        if value == "abc123" {
            body["panopto_url"] = json!(format!("{host}/Pages/Viewer.aspx?tid={SESSION}"));
        }
        let answer = app.submit(0, &body).await;
        let body = answer.problem(422, "invalid");
        let errors = body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{value}: {body}");
        assert_eq!(errors[0]["field"], field, "{value}: {body}");
        assert!(errors[0]["message"].is_string() && errors[0]["code"].is_string(), "{body}");
        assert!(!answer.text.contains("secret"), "{body}");
    }
    let rows: i64 =
        sqlx::query_scalar("SELECT (SELECT count(*) FROM lectures) + (SELECT count(*) FROM users)")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn all_errors_are_reported_at_once() {
    let app = App::start().await;
    let body = app.submit(0, &json!({ "title": 1 })).await.problem(422, "invalid");
    let fields: Vec<&str> =
        body["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["course_id", "panopto_url", "title"]);
    let both = json!({ "course_id": COURSE, "panopto_url": "no", "stream_url": "no" });
    assert_eq!(app.submit(0, &both).await.problem(422, "invalid")["errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_longest_title_and_unusual_input_are_accepted() {
    let app = App::start().await;
    let bodies = [
        with("title", json!("\u{1F600}".repeat(500))),
        with("title", json!("")),
        with("title", Value::Null),
        with("stream_url", json!("")),
        with("stream_url", json!("HTTPS://media.example.org/a b.mp4")),
        with("session_id", json!("")),
        with("panopto_url", json!(format!("  {}  ", viewer(SESSION)))),
        with("something_new", json!({ "deep": [1] })),
    ];
    for body in bodies {
        let answer = app.submit(0, &body).await;
        assert!(answer.status.is_success(), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn bodies_that_are_not_json_objects() {
    let app = App::start().await;
    let post =
        || app.request(0, Method::POST, "/api/lectures/download").header("content-type", "application/json");
    for text in ["", "{", "[]", "null", "\"x\"", "{\"title\": \"\\ud800\"}", "{} {}", &"[".repeat(10_000)] {
        post().body(text.to_owned()).answer().await.problem(400, "bad_request");
    }
    post().body(vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).answer().await.problem(400, "bad_request");

    let body = with("title", json!("x")).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = app
            .request(0, Method::POST, "/api/lectures/download")
            .header("content-type", kind)
            .body(body.clone())
            .answer()
            .await;
        answer.problem(415, "unsupported_media");
    }
    let charset = app
        .request(0, Method::POST, "/api/lectures/download")
        .header("content-type", "Application/JSON; charset=utf-8")
        .body(body);
    charset.answer().await.expect(201);
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_and_the_refusal_can_be_read() {
    let app = App::start().await;
    let padded = |bytes: usize| {
        let body = with("padding", json!("")).to_string();
        with("padding", json!("x".repeat(bytes - body.len()))).to_string()
    };
    let post =
        || app.request(0, Method::POST, "/api/lectures/download").header("content-type", "application/json");
    post().body(padded(64 * 1024)).answer().await.expect(201);
    post().body(padded(64 * 1024 + 1)).answer().await.problem(413, "too_large");
    post().body(padded(900_000)).answer().await.problem(413, "too_large");
    // Without a Content-Length the bytes are counted on arrival.
    let chunks = futures::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 4096])));
    post().body(reqwest::Body::wrap_stream(chunks)).answer().await.problem(413, "too_large");
}

/// A client that writes everything before it reads: closing with unread bytes would reset the connection and
/// lose the answer.
#[tokio::test]
async fn the_refusal_of_a_large_body_reaches_a_client_that_writes_first() {
    let app = App::start().await;
    let token = super::token(0);
    written_first(&app, "download", &token, 900_000, "413", "too_large").await;
    written_first(&app, "batch", &token, 2_200_000, "413", "too_large").await;
    written_first(&app, "batch", "unknown", 1_900_000, "401", "unauthenticated").await;
}

async fn written_first(app: &App, path: &str, token: &str, bytes: usize, status: &str, code: &str) {
    let address = app.base.strip_prefix("http://").unwrap();
    let body = vec![b' '; bytes];
    let head = format!(
        "POST /api/lectures/{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {bytes}\r\nconnection: close\r\n\r\n"
    );
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    for part in body.chunks(100_000) {
        // A slow connection: the refusal is decided long before the last byte.
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        connection.write_all(part).await.expect("all is taken");
    }
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("the answer is not cut off");
    let refused = answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code);
    assert!(refused, "{path}: {answer}");
}

#[tokio::test]
async fn a_malformed_id_is_404() {
    let app = App::start().await;
    for path in ["/api/lectures/17", "/api/lectures/%FF", "/api/lectures/x%00/status", "/api/jobs/none"] {
        app.get(0, path).await.problem(404, "not_found");
    }
}
