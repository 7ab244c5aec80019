//! A server with OpenAI's `audio/transcriptions` and a real engine behind it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use bedel_speech::Engine;
use serde_json::{Value, json};

use crate::upload::Upload;

/// Dropping it closes the port.
pub struct OpenaiServer {
    /// Base URL of `audio/transcriptions`.
    pub url: url::Url,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for OpenaiServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl OpenaiServer {
    pub async fn start(engine: Arc<dyn Engine>) -> Self {
        let router = Router::new().route("/v1/audio/transcriptions", post(transcribe)).with_state(engine);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url: url.parse().expect("an address"), serving }
    }
}

async fn transcribe(State(engine): State<Arc<dyn Engine>>, request: Request) -> (StatusCode, Json<Value>) {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers["content-type"].to_str().expect("text");
    let upload = Upload::read(content_type, body, "file").await;
    let is_complete = |upload: &Upload| {
        upload.field("model").is_some() && upload.field("response_format") == Some("verbose_json")
    };
    let Some(upload) = upload.filter(is_complete) else {
        let message = "file, model and response_format=verbose_json are required";
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": { "message": message } })));
    };
    let (heard, seconds) = upload.transcribe(engine.as_ref()).await;
    let segments: Vec<Value> = heard
        .segments
        .iter()
        .enumerate()
        .map(|(id, said)| json!({ "id": id, "start": said.start, "end": said.end, "text": said.text }))
        .collect();
    let text: String = heard.segments.iter().map(|said| said.text.as_str()).collect();
    let answer = json!({
        "task": "transcribe", "language": heard.language, "duration": seconds, "text": text, "segments": segments,
    });
    (StatusCode::OK, Json(answer))
}
