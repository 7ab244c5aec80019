//! A task server with a real engine behind it, like the one that the previous system used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bedel_speech::{Engine, EngineInfo, Transcript, vtt};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::upload::Upload;

/// Where the transcript is in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `transcript`, `segments`, `vtt_content`, `duration`.
    Top,
    /// The same in `result`.
    Result,
    /// `result` is the text.
    Text,
    /// `transcript` and `vtt_content`.
    Captions,
    /// RunPod's.
    Output,
}

/// Its behaviour.
#[derive(Debug, Clone)]
pub struct Manner {
    pub shape: Shape,
    /// The words for a finished and for a running task.
    pub words: (&'static str, &'static str),
    /// Number of polls answered with "running", whatever the real state; `usize::MAX` for all.
    pub keeps_waiting: usize,
    /// Tasks fail for this reason.
    pub fails: Option<&'static str>,
}

impl Default for Manner {
    fn default() -> Self {
        let words = ("completed", "processing");
        Self { shape: Shape::Top, words, keeps_waiting: 1, fails: None }
    }
}

struct Kept {
    engine: Arc<dyn Engine>,
    manner: Mutex<Manner>,
    /// Each task's transcript and number of polls.
    tasks: Mutex<HashMap<String, (Option<Transcript>, usize)>>,
    posted: Mutex<Vec<String>>,
    /// The task of each idempotency key, forgotten tasks included.
    keys: Mutex<HashMap<String, String>>,
}

/// Dropping it closes the port.
pub struct TaskServer {
    pub url: url::Url,
    kept: Arc<Kept>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for TaskServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TaskServer {
    pub async fn start(engine: Arc<dyn Engine>, manner: Manner) -> Self {
        let (manner, tasks) = (Mutex::new(manner), Mutex::default());
        let (posted, keys) = (Mutex::default(), Mutex::default());
        let kept = Arc::new(Kept { engine, manner, tasks, posted, keys });
        let router = Router::new()
            .route("/transcribe", post(take))
            .route("/result/{id}", get(result))
            .with_state(Arc::clone(&kept));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url: url.parse().expect("an address"), kept, serving }
    }

    /// Idempotency keys of accepted tasks, in order.
    pub fn posted(&self) -> Vec<String> {
        locked(&self.kept.posted).clone()
    }

    /// Number of polls.
    pub fn asked(&self) -> usize {
        locked(&self.kept.tasks).values().map(|(_, asked)| asked).sum()
    }

    pub fn behave(&self, manner: Manner) {
        *locked(&self.kept.manner) = manner;
    }

    /// Restarts: it forgets all tasks, but not their idempotency keys.
    pub fn forget(&self) {
        locked(&self.kept.tasks).clear();
    }
}

async fn take(State(kept): State<Arc<Kept>>, request: Request) -> (StatusCode, Json<Value>) {
    let (parts, body) = request.into_parts();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = header("idempotency-key").to_owned();
    let upload = Upload::read(header("content-type"), body, "audio").await;
    let Some(upload) = upload.filter(|upload| !upload.name.is_empty()) else {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "detail": "no audio" })));
    };
    let id = Uuid::new_v4().to_string();
    if let Some(known) = locked(&kept.keys).get(&key) {
        return (StatusCode::OK, Json(json!({ "task_id": known })));
    }
    locked(&kept.keys).insert(key.clone(), id.clone());
    locked(&kept.posted).push(key);
    locked(&kept.tasks).insert(id.clone(), (None, 0));
    let (task, kept) = (id.clone(), Arc::clone(&kept));
    tokio::spawn(async move {
        let transcript = transcribed(kept.engine.as_ref(), &upload).await;
        if let Some((done, _)) = locked(&kept.tasks).get_mut(&task) {
            *done = Some(transcript);
        }
    });
    (StatusCode::OK, Json(json!({ "task_id": id })))
}

async fn transcribed(engine: &dyn Engine, upload: &Upload) -> Transcript {
    let (heard, seconds) = upload.transcribe(engine).await;
    let info = EngineInfo { engine: "task server".to_owned(), model: "its own".to_owned() };
    Transcript::new(info, heard, seconds).expect("words")
}

async fn result(
    State(kept): State<Arc<Kept>>,
    axum::extract::Path(id): axum::extract::Path<String>,
) -> (StatusCode, Json<Value>) {
    let manner = locked(&kept.manner).clone();
    let mut tasks = locked(&kept.tasks);
    let Some((transcript, asked)) = tasks.get_mut(&id) else {
        return (StatusCode::NOT_FOUND, Json(json!({ "detail": "no such task" })));
    };
    *asked += 1;
    if let Some(reason) = manner.fails {
        return (StatusCode::OK, Json(json!({ "status": "failed", "error": reason })));
    }
    let Some(transcript) = transcript.as_ref().filter(|_| *asked > manner.keeps_waiting) else {
        return (StatusCode::OK, Json(json!({ "status": manner.words.1 })));
    };
    (StatusCode::OK, Json(answer(transcript, &manner)))
}

fn answer(transcript: &Transcript, manner: &Manner) -> Value {
    let (text, captions, status) = (&transcript.text, vtt::render(transcript), manner.words.0);
    let segments: Vec<Value> = transcript
        .segments
        .iter()
        // Some servers write numbers as text.
        .map(|said| json!({ "start": said.start, "end": said.end.to_string(), "text": said.text, "avg_logprob": -0.25 }))
        .collect();
    match manner.shape {
        Shape::Top => {
            json!({ "status": status, "transcript": text, "segments": segments, "vtt_content": captions, "duration": 1.0 })
        }
        Shape::Result => {
            json!({ "status": status, "result": { "text": text, "segments": segments, "vtt_content": captions } })
        }
        Shape::Text => json!({ "status": status, "result": text }),
        Shape::Captions => json!({ "status": status, "transcript": text, "vtt_content": captions }),
        Shape::Output => {
            json!({ "status": status, "output": { "transcription": text, "segments": segments, "detected_language": "en" } })
        }
    }
}
