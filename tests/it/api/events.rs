//! Following a lecture.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use super::{App, submission};

/// Longest wait for an event; the server polls every second.
const SOON: Duration = Duration::from_secs(10);

/// A client of an event stream.
struct Events {
    response: Response,
    read: String,
}

impl Events {
    async fn open(app: &App, lecture: Uuid) -> Self {
        let response =
            app.request(0, Method::GET, &format!("/api/lectures/{lecture}/events")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, read: String::new() }
    }

    /// Data of the next event. None at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let data = event
                    .strip_prefix("event: state\ndata: ")
                    .map(|data| serde_json::from_str(data).unwrap());
                self.read = rest.to_owned();
                if data.is_some() {
                    return data;
                }
                continue;
            }
            let chunk = timeout(SOON, self.response.chunk()).await.expect("nothing came").unwrap()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn the_state_comes_at_once_and_at_each_change_until_the_end() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let mut events = Events::open(&app, lecture).await;
    let first = events.next().await.unwrap();
    assert_eq!(first, app.get(0, &format!("/api/lectures/{lecture}/status")).await.expect(200).json());
    app.set_running(lecture).await;
    assert_eq!(events.next().await.unwrap()["progress"], 0.25);
    app.execute("UPDATE lectures SET status = 'downloading' WHERE id = $1", lecture).await;
    assert_eq!(events.next().await.unwrap()["status"], "downloading");
    app.set_failed(lecture).await;
    loop {
        // Here two statements change the lecture and its job.
        let event = events.next().await.unwrap();
        if event["status"] == "failed" {
            assert_eq!(event["error_message"], "it is gone");
            break;
        }
    }
    assert_eq!(events.next().await, None);
    // A late client gets the final state only.
    let mut late = Events::open(&app, lecture).await;
    assert_eq!(late.next().await.unwrap()["status"], "failed");
    assert_eq!(late.next().await, None);
}

#[tokio::test]
async fn the_stream_ends_with_the_lecture_and_with_the_server() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let mut events = Events::open(&app, lecture).await;
    events.next().await.unwrap();
    app.delete(0, lecture).await.expect(204);
    assert_eq!(events.next().await, None);

    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let mut events = Events::open(&app, lecture).await;
    events.next().await.unwrap();
    app.stop.cancel();
    assert_eq!(events.next().await, None);
}

/// Proxies would close a quiet connection.
#[tokio::test]
async fn a_quiet_stream_sends_heartbeats() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let mut events = Events::open(&app, lecture).await;
    events.next().await.unwrap();
    let sign = timeout(Duration::from_secs(30), events.response.chunk()).await;
    let sign = sign.expect("every fifteen seconds").unwrap().expect("the stream continues");
    assert!(sign.starts_with(b":"), "{sign:?}");
}

#[tokio::test]
async fn a_user_has_a_hundred_streams_at_most() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(Events::open(&app, lecture).await);
    }
    app.get(0, &format!("/api/lectures/{lecture}/events")).await.problem(429, "rate_limited");
}

#[tokio::test]
async fn foreign_lectures_cannot_be_followed() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.get(1, &format!("/api/lectures/{lecture}/events")).await.problem(404, "not_found");
}
