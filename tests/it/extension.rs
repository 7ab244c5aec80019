//! The original's browser extension, as a client with unchanged requests, against a real `bedel dev` and a
//! site that answers like Panopto. It uses none of the new features.
//!
//! On a recording's page it asks the site for the recording. If the audio is available separately, its
//! background page fetches and uploads it. If any of that fails, the page's script submits the link instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::dev::{started, state_of, stop};
use crate::program::Project;

const EXTENSION: &str = "chrome-extension://abcdefghijklmnopabcdefghijklmnop";
const COURSE: &str = "0b5f7a64-4f5c-4d5e-9c59-2c5a2f0a7d11";
const SPEECH: &[u8] = include_bytes!("../../examples/demo/lecture.m4a");
const SPOKEN: &str = include_str!("../../examples/demo/lecture.txt");

/// A site that answers its own pages like Panopto.
struct Panopto {
    address: String,
    /// With an expired session the audio's URL answers with a sign-in page.
    signed_out: Arc<AtomicBool>,
}

impl Panopto {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let signed_out = Arc::new(AtomicBool::new(false));
        let media = || async { ([(header::CONTENT_TYPE, "video/mp4")], Bytes::from_static(SPEECH)) };
        let router = Router::new()
            .route("/Panopto/Pages/Viewer/DeliveryInfo.aspx", post(describe))
            .route("/Panopto/Podcast/Download/{file}", get(podcast))
            .route("/stream/{file}", get(media))
            .with_state((address.clone(), Arc::clone(&signed_out)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, signed_out }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn page(&self, session: &str) -> String {
        format!("{}/Panopto/Pages/Viewer.aspx?id={session}&start=12.5#notes", self.origin())
    }
}

type Site = State<(String, Arc<AtomicBool>)>;

async fn describe(State((address, _)): Site, headers: HeaderMap, form: String) -> Response {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    let id = form.split('&').find_map(|pair| pair.strip_prefix("deliveryId=")).expect("an id").to_owned();
    axum::Json(json!({
        "SessionId": id,
        "Delivery": {
            "PublicID": id, "SessionName": "Tides", "Duration": 30.5, "IsAudioPodcastEncodeComplete": true,
            "IsPodcastEncodeComplete": true, "IsViewerEncodeComplete": true,
            "PodcastStreams": [{ "StreamUrl": format!("http://{address}/stream/{id}.mp4") }],
        },
    }))
    .into_response()
}

async fn podcast(State((_, signed_out)): Site, Path(file): Path<String>) -> Response {
    assert!(file.ends_with(".mp4"), "{file}");
    if signed_out.load(Ordering::SeqCst) {
        return ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "<html>Sign in</html>")
            .into_response();
    }
    ([(header::CONTENT_TYPE, "video/mp4")], Bytes::from_static(SPEECH)).into_response()
}

/// The extension, configured with a backend and a token.
struct Extension<'a> {
    client: Client,
    backend: String,
    token: String,
    panopto: &'a Panopto,
}

/// Why a flow failed, as the extension displays it.
type Shown = String;

impl Extension<'_> {
    fn bearer(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.token)
    }

    /// A browser's preflight before a request with a credential, and its verdict.
    async fn preflight(&self, origin: &str, method: &Method, path: &str, headers: &str) {
        let answer = self
            .client
            .request(Method::OPTIONS, format!("{}{path}", self.backend))
            .header("origin", origin)
            .header("access-control-request-method", method.as_str())
            .header("access-control-request-headers", headers)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let said = |name: &str| {
            answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_ascii_lowercase()
        };
        assert_eq!(said("access-control-allow-origin"), origin);
        assert!(said("access-control-allow-methods").contains(&method.as_str().to_ascii_lowercase()));
        for header in headers.split(',') {
            assert!(said("access-control-allow-headers").contains(header), "{header}");
        }
    }

    /// A request from a page of `origin`; the answer is unreadable unless it allows the origin.
    async fn ask(&self, origin: &str, request: RequestBuilder) -> Result<Value, Shown> {
        let answer = self.bearer(request.header("origin", origin)).send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], origin);
        let (status, body): (StatusCode, Value) = (answer.status(), answer.json().await.unwrap());
        if status.is_success() {
            return Ok(body);
        }
        Err(body["detail"].as_str().expect("the detail is one text").to_owned())
    }

    /// The popup's courses: id and label.
    async fn courses(&self) -> Vec<(String, String)> {
        self.preflight(EXTENSION, &Method::GET, "/api/courses", "authorization,content-type").await;
        let request = self
            .client
            .get(format!("{}/api/courses", self.backend))
            .header("content-type", "application/json");
        let listed = self.ask(EXTENSION, request).await.unwrap();
        let text = |course: &Value, name: &str| {
            course[name].as_str().unwrap_or_else(|| panic!("{name}: {course}")).to_owned()
        };
        let listed = listed.as_array().expect("a list").iter();
        listed
            .map(|course| (text(course, "id"), format!("{} {}", text(course, "code"), text(course, "name"))))
            .collect()
    }

    /// Clicks on a recording's page. Returns the displayed id.
    async fn send(&self, page: &str, course: &str) -> Result<String, Shown> {
        let id = page.split("id=").nth(1).unwrap().split(['&', '#']).next().unwrap();
        let form = format!("deliveryId={id}&isEmbed=true&responseType=json");
        let described = self
            .client
            .post(format!("{}/Panopto/Pages/Viewer/DeliveryInfo.aspx", self.panopto.origin()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let described: Value = described.send().await.unwrap().json().await.unwrap();
        let answer = match self.upload_audio(&described, page, course).await {
            Ok(answer) => answer,
            Err(_) => self.hand_in(&described, page, course).await?,
        };
        Ok(answer["lecture_id"].as_str().expect("an id").to_owned())
    }

    /// By the background page, which may read the audio.
    async fn upload_audio(&self, described: &Value, page: &str, course: &str) -> Result<Value, Shown> {
        let delivery = &described["Delivery"];
        let public = delivery["PublicID"].as_str().unwrap();
        let url = format!(
            "{}/Panopto/Podcast/Download/{public}.mp4?mediaTargetType=audioPodcast",
            self.panopto.origin()
        );
        let sound = self.client.get(url).send().await.unwrap();
        let kind = sound.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        if !sound.status().is_success() || kind.starts_with("text/html") {
            return Err("not signed in".to_owned());
        }
        let session = described["SessionId"].as_str().unwrap();
        let metadata = json!({
            "session_id": session, "course_id": course, "title": delivery["SessionName"],
            "duration": delivery["Duration"], "source_url": page,
        });
        let audio = Part::bytes(sound.bytes().await.unwrap().to_vec())
            .file_name(format!("{session}.m4a"))
            .mime_str(&kind)
            .unwrap();
        let form = Form::new().part("audio", audio).text("metadata", metadata.to_string());
        self.preflight(EXTENSION, &Method::POST, "/api/lectures/audio", "authorization").await;
        self.ask(EXTENSION, self.client.post(format!("{}/api/lectures/audio", self.backend)).multipart(form))
            .await
    }

    /// By the page's script, with the page's origin.
    async fn hand_in(&self, described: &Value, page: &str, course: &str) -> Result<Value, Shown> {
        let origin = self.panopto.origin();
        let body = json!({
            "course_id": course, "panopto_url": page, "title": described["Delivery"]["SessionName"],
            "stream_url": described["Delivery"]["PodcastStreams"][0]["StreamUrl"],
        });
        self.preflight(&origin, &Method::POST, "/api/lectures/download", "authorization,content-type").await;
        self.ask(&origin, self.client.post(format!("{}/api/lectures/download", self.backend)).json(&body))
            .await
    }

    async fn until_completed(&self, lecture: &str) {
        let began = Instant::now();
        loop {
            let url = format!("{}/api/lectures/{lecture}/status", self.backend);
            let status: Value = self.bearer(self.client.get(url)).send().await.unwrap().json().await.unwrap();
            if status["status"] == "completed" {
                return;
            }
            assert!(status["status"] != "failed" && began.elapsed() < Duration::from_secs(180), "{status}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn text(&self, lecture: &str) -> String {
        let url = format!("{}/api/lectures/{lecture}/transcript.txt", self.backend);
        self.bearer(self.client.get(url)).send().await.unwrap().text().await.unwrap()
    }
}

/// Share of the spoken words found in the transcript.
fn share_of_words(transcript: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let plain: String =
            text.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
        plain.split_whitespace().map(str::to_owned).collect()
    };
    let (spoken, heard) = (words(SPOKEN), words(transcript));
    let found = spoken.iter().filter(|word| heard.contains(word)).count();
    found as f64 / spoken.len() as f64
}

/// Where `script/setup` installs models.
pub fn models() -> String {
    let cache = std::env::var("XDG_CACHE_HOME")
        .unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap()));
    format!("{cache}/bedel/models")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extension_of_the_original_works_unchanged() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let panopto = Panopto::start().await;
    let project = Project::new()
        .set("CORS_ALLOW_ORIGINS", &format!("{},{EXTENSION}", panopto.origin()))
        .set("PANOPTO_TENANTS", &panopto.address)
        .set("BEDEL_ALLOWED_PRIVATE_HOSTS", &panopto.address)
        .set("BEDEL_MODEL_DIR", &models())
        .set("BEDEL_METRICS_LISTEN", "127.0.0.1:0")
        // Nothing leaves this machine.
        .set("CDCS_URL", "http://127.0.0.1:9/")
        .set("COURSE_SYNC_CRON", "0 0 1 1 *");
    let dev = started(&project, project.command(&["dev", "--listen", "127.0.0.1:0"]));
    let state = state_of(&project).unwrap();
    let extension = Extension {
        client: Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap(),
        backend: state["api_url"].as_str().unwrap().trim_end_matches('/').to_owned(),
        token: state["token"].as_str().unwrap().to_owned(),
        panopto: &panopto,
    };
    let create = extension.client.post(format!("{}/api/courses", extension.backend));
    let made =
        extension.bearer(create.json(&json!({ "code": "AST 111", "title": "Tides" }))).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let courses = extension.courses().await;
    assert_eq!(courses[0].1, "AST 111 Tides");

    // First the audio.
    let page = panopto.page("26b3ae9e-4a48-4dcc-96ba-0befba08a0fb");
    let uploaded = extension.send(&page, &courses[0].0).await.unwrap();
    // Then the link, if the audio is unavailable, in an unknown course.
    panopto.signed_out.store(true, Ordering::SeqCst);
    let linked = extension.send(&panopto.page("36b3ae9e-4a48-4dcc-96ba-0befba08a0fb"), COURSE).await.unwrap();
    assert_ne!(uploaded, linked);
    // The same page finds the lecture again, by either way.
    assert_eq!(extension.send(&page, &courses[0].0).await.unwrap(), uploaded);
    // Errors are displayed as text.
    let shown = extension.send(&page, "no course").await.unwrap_err();
    assert!(shown.contains("UUID"), "{shown}");

    for lecture in [&uploaded, &linked] {
        extension.until_completed(lecture).await;
        let text = extension.text(lecture).await;
        assert!(share_of_words(&text) > 0.7, "{text}");
    }

    // The worker serves its metrics.
    let log = dev.log();
    let address =
        log.split("metrics at ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    let metrics = extension.client.get(address).send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("bedel_queue_attempts_total{kind=\"transcribe\",outcome=\"completed\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("bedel_queue_attempt_seconds_bucket{kind=\"download\""), "{metrics}");

    // The command line uses the same API.
    let said = project.run(&["submit", &page, "--course", &courses[0].0, "--watch"]).ok();
    assert!(said.contains("exists already") && said.trim_end().ends_with("completed"), "{said}");
    let listed = project.run(&["lectures"]).ok();
    assert!(listed.contains(&uploaded) && listed.contains(&linked) && listed.contains("Tides"), "{listed}");
    let listed = project.run(&["lectures", "--course", COURSE, "--status", "completed", "--json"]).ok();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((listed[0]["id"].as_str(), listed.as_array().map(Vec::len)), (Some(linked.as_str()), Some(1)));
    let said = project.run(&["courses", "sync", "--dry-run", "--wait", "0"]).ok();
    assert!(said.starts_with("it continues as job "), "{said}");
    stop(dev);
}
