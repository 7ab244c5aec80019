//! Errors without bad input: unknown routes, a database that is down, server errors; and the log's content.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

use super::{Answering, App, audio, submission};

#[tokio::test]
async fn unknown_addresses_and_methods_answer_problems() {
    let app = App::start().await;
    for path in ["/nothing", "/api", "/api/nothing", "/api/lectures/download/more", "/api/lectures/"] {
        app.get(0, path).await.problem(404, "not_found");
    }
    let wrong = app.request(0, Method::PUT, "/api/lectures/download").answer().await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST");
    let wrong = app.request(0, Method::POST, &format!("/api/jobs/{}", Uuid::new_v4())).answer().await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let app = App::start().await;
    let mut ids = BTreeSet::new();
    for path in ["/api/health", "/nowhere", "/api/jobs/none"] {
        let answer = app.request(0, Method::GET, path).header("x-request-id", "mine").answer().await;
        assert!(ids.insert(answer.header("x-request-id").parse::<Uuid>().unwrap()));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn an_unavailable_database_is_503() {
    // Nothing listens on port 9 of the loopback.
    let pool = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:9/none").unwrap();
    let app = App::over(pool, 1).await;
    let id = Uuid::new_v4();
    let (lecture, job) = (format!("/api/lectures/{id}"), format!("/api/jobs/{id}"));
    let answers = futures::future::join_all([
        app.request(0, Method::POST, "/api/lectures/download").json(&submission()).answer(),
        app.request(0, Method::GET, &lecture).answer(),
        app.request(0, Method::DELETE, &lecture).answer(),
        app.request(0, Method::GET, &job).answer(),
        app.admin(Method::POST, "/api/admin/courses/sync").answer(),
        app.anonymous(Method::GET, "/readyz").answer(),
    ])
    .await;
    for answer in answers {
        let body = answer.problem(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
        assert!(!body.to_string().contains("127.0.0.1"), "{body}");
    }
    app.anonymous(Method::GET, "/api/health").answer().await.expect(200);
    app.anonymous(Method::GET, "/livez").answer().await.expect(200);
}

#[tokio::test]
async fn a_server_error_is_a_bland_500() {
    let app = App::start().await;
    sqlx::query("ALTER TABLE user_lectures RENAME TO hidden").execute(&app.pool).await.unwrap();
    for answer in
        [app.submit(0, &submission()).await, app.get(0, &format!("/api/lectures/{}", Uuid::new_v4())).await]
    {
        let body = answer.problem(500, "internal");
        assert_eq!(body["request_id"], answer.header("x-request-id"));
        assert!(!answer.text.contains("user_lectures") && !answer.text.contains("relation"), "{body}");
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM lectures").fetch_one(&app.pool).await.unwrap();
    assert_eq!(left, 0, "the transaction was rolled back");
}

/// Collects log lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic while logging").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// On a thread without a collector: the requests whose log lines the next test looks for.
#[tokio::main(flavor = "current_thread")]
async fn use_elsewhere() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.get(0, &format!("/api/lectures/{lecture}")).await.expect(200);
    app.get(0, "/nowhere").await.expect(404);
    sqlx::query("ALTER TABLE user_lectures RENAME TO hidden").execute(&app.pool).await.unwrap();
    app.get(0, &format!("/api/lectures/{lecture}")).await.expect(500);
    audio::upload(&app, 0, audio::form(&audio::metadata(), audio::MP4)).await.expect(500);
}

/// On one thread, so that the server's tasks log to this test's collector.
#[tokio::test]
async fn the_log_has_route_status_and_id_and_no_secret() {
    let log = Log::default();
    let collector = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG);
    let _guard = tracing::subscriber::set_default(collector.finish());
    // A test without a collector that runs first must not disable the log statements for all.
    std::thread::spawn(use_elsewhere).join().unwrap();
    let app = App::start().await;
    let mut body = submission();
    body["stream_url"] = "https://media.example.org/a.mp4?Signature=hush-stream".into();
    let submitted = app.submit(0, &body).await.expect(201);
    let lecture = submitted.id("lecture_id");
    let shown = app.get(0, &format!("/api/lectures/{lecture}?key=hush-query")).await.expect(200);
    app.anonymous(Method::GET, "/hush-path").bearer_auth("hush-token").answer().await.expect(404);
    sqlx::query("ALTER TABLE user_lectures RENAME TO hidden").execute(&app.pool).await.unwrap();
    let failed = app.get(0, &format!("/api/lectures/{lecture}")).await.expect(500);
    let upload = audio::upload(&app, 0, audio::form(&audio::metadata(), audio::MP4)).await.expect(500);

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line_of = |answer: &super::Answer| {
        let id = answer.header("x-request-id").to_owned();
        text.lines().filter(|line| line.contains(&id)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(line_of(&shown).iter().any(|line| line.contains("GET /api/lectures/{id} 200")), "{text}");
    for failed in [failed, upload] {
        let lines = line_of(&failed);
        assert!(
            lines.iter().any(|line| line.contains("ERROR") && line.contains("user_lectures")),
            "{lines:#?}"
        );
    }
    assert!(text.contains("GET (no route) 404"), "{text}");
    let ours: Vec<&str> = text.lines().filter(|line| line.contains("request_id")).collect();
    for secret in ["hush-", "token-of-user-0", &lecture.to_string()] {
        assert!(ours.iter().all(|line| !line.contains(secret)), "{secret} in {ours:#?}");
    }
}

#[tokio::test]
async fn an_unavailable_storage_is_503() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.set_completed(lecture).await;
    let storage = app.directory.path().join("storage");
    std::fs::remove_dir_all(&storage).unwrap();
    std::fs::write(&storage, "no directory").unwrap();
    let mut another = audio::metadata();
    another["session_id"] = "00000000-0000-4000-8000-00000000000b".into();
    another["source_url"] = Value::Null;
    for unavailable in [
        audio::upload(&app, 0, audio::form(&another, audio::MP4)).await,
        app.get(0, &format!("/api/lectures/{lecture}/audio")).await,
    ] {
        unavailable.problem(503, "unavailable");
        assert!(!unavailable.header("retry-after").is_empty());
    }
}

/// Requests more than the connection can buffer, many times, and reads nothing.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let app = App::start().await;
    let mut stream = TcpStream::connect(app.base.strip_prefix("http://").unwrap()).await.unwrap();
    let ask = b"GET /api/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let refused = async {
        // The server stops reading requests while their answers wait, and disconnects the client in the end.
        loop {
            if let Err(error) = stream.write_all(ask).await {
                break error;
            }
        }
    };
    let error = timeout(Duration::from_secs(120), refused).await.expect("the connection ends");
    let kind = error.kind();
    assert!(
        matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::TimedOut),
        "{error}"
    );
}

/// Connections are limited: an idle one without a request is closed.
#[tokio::test]
async fn a_missing_head_closes_the_connection() {
    let app = App::start().await;
    let address = app.base.strip_prefix("http://").unwrap();
    for sent in [b"".as_slice(), b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow:"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut read = Vec::new();
        let ended = timeout(Duration::from_secs(60), stream.read_to_end(&mut read)).await;
        ended.expect("it is closed").expect("in order");
        assert!(read.is_empty() || read.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&read));
    }
}
