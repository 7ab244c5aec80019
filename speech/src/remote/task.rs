//! Servers that take a recording as a task: `POST {url}/transcribe` gives its id, `GET {url}/result/{id}` what became of it.
//!
//! The id is entered before anything else is done, so whoever goes on asks for the result and does not pay again. Between the server's
//! answer and that lies one statement to the database: a process that dies there leaves a task that nobody asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_media::MediaTools;
use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::Value;

use super::client::{ClientError, Server};
use super::paid_calls::{self, Call};
use super::upload::Upload;
use super::{RemoteError, RemoteSettings};
use crate::engine::{AudioChunk, Control, Engine, EngineError, EngineInfo, PaidCall, RawTranscript};

/// Longest time for sending a recording and for asking once.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);
const POLL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an attempt asks for a task of one before it: whether it is done is seen at once, and whether a server that is restarted comes
/// back, soon.
const LOOK: Duration = Duration::from_secs(60);

/// So many times in a row nothing may come of asking.
const FAILURES: usize = 5;

/// Longest id of a task that is believed, in bytes.
const MAX_ID: usize = 200;

/// What became of a task.
#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    Failed(String),
    Waiting,
}

/// A task server.
#[derive(Debug, Clone)]
pub struct Task {
    server: Server,
    media: MediaTools,
}

impl Task {
    /// The server at `settings.url`. The process must have installed a rustls provider before.
    ///
    /// # Errors
    /// Where outgoing HTTP cannot be set up.
    pub fn new(settings: RemoteSettings, media: MediaTools) -> Result<Self, ClientError> {
        Ok(Self { server: Server::new(settings)?, media })
    }

    async fn ask(&self, chunk: AudioChunk<'_>, control: &Control) -> Result<RawTranscript, EngineError> {
        let mut order = chunk.call_log.paid_call(chunk.name);
        if order.task.is_some() {
            if let Some(transcript) = self.result(&order, &chunk, LOOK, control).await? {
                return Ok(transcript);
            }
            // The server knows nothing of it any more; asked for the same, it might still remember that it was.
            order = PaidCall { failures: order.failures + 1, task: None, ..order };
            chunk.call_log.record(&order).await?;
        }
        let order = self.begin(&chunk, control).await?;
        let time = self.server.settings().time_for(chunk.samples.len());
        match self.result(&order, &chunk, time, control).await? {
            Some(transcript) => Ok(transcript),
            None => {
                let error = self.failed(404, "it does not know the task that it has taken");
                Err(paid_calls::record_failure(&chunk, order, error).await)
            }
        }
    }

    /// Hands the chunk in. The order has a task, and is entered.
    async fn begin(&self, chunk: &AudioChunk<'_>, control: &Control) -> Result<PaidCall, EngineError> {
        let upload = Upload::of(chunk, &self.server, &self.media).await?;
        let uploaded = upload.bytes();
        let form = upload.form("audio", chunk, self.server.settings());
        let make = |order: &PaidCall| {
            let request = self.server.request(Method::POST, &["transcribe"]);
            // A server that knows it gives a request that it has seen the task of before.
            request.header("Idempotency-Key", order.idempotency_key()).multipart(form)
        };
        let call = Call { make, uploaded, time: UPLOAD_TIMEOUT };
        let (answer, order) = paid_calls::make_call(&self.server, chunk, call, control).await?;
        let Some(task) = task_id(&answer) else {
            let error = self.server.without_transcript(&answer);
            return Err(paid_calls::record_failure(chunk, order, error).await);
        };
        let order = PaidCall { task: Some(task), ..order };
        chunk.call_log.record(&order).await?;
        Ok(order)
    }

    /// What came of an order's task, within this time; `None` where the server does not know it.
    async fn result(
        &self,
        order: &PaidCall,
        chunk: &AudioChunk<'_>,
        time: Duration,
        control: &Control,
    ) -> Result<Option<RawTranscript>, EngineError> {
        let settings = self.server.settings();
        let task = order.task.as_deref().unwrap_or_default();
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            let mut pause = settings.poll;
            let request = self.server.request(Method::GET, &["result", task]);
            match self.server.ask(request, 0, POLL_TIMEOUT, control).await {
                Ok(answer) => {
                    failures = 0;
                    match outcome(&answer) {
                        Outcome::Waiting => {}
                        Outcome::Done => {
                            let order = order.clone();
                            return paid_calls::read_transcript(&self.server, chunk, order, answer)
                                .await
                                .map(Some);
                        }
                        // It would be the same for ever: the next attempt begins another one.
                        Outcome::Failed(reason) => {
                            let error = self.failed(200, &reason);
                            return Err(paid_calls::record_failure(chunk, order.clone(), error).await);
                        }
                    }
                }
                Err(EngineError::Remote(error)) => {
                    let is_unknown = matches!(error, RemoteError::NotThere { status: 404 | 410, .. });
                    match failures < FAILURES && (is_unknown || error.is_passing()) {
                        // A proxy that has lost the server for a moment says anything.
                        true => {
                            tracing::warn!(%error, "a task's result could not be asked for");
                            failures += 1;
                            pause = pause.max(error.after().unwrap_or_default());
                        }
                        false if is_unknown => return Ok(None),
                        false if error.is_final() => {
                            return Err(paid_calls::record_failure(chunk, order.clone(), error).await);
                        }
                        false => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error),
            }
            if begun.elapsed() >= time {
                let (host, seconds) = (self.server.host(), time.as_secs());
                return Err(RemoteError::StillRunning { host, seconds }.into());
            }
            tokio::select! {
                () = control.cancelled() => return Err(EngineError::Cancelled),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn failed(&self, status: u16, reason: &str) -> RemoteError {
        RemoteError::Failed {
            host: self.server.host(),
            status,
            detail: self.server.detail(reason.as_bytes()),
        }
    }
}

/// The id of a task that was taken.
fn task_id(answer: &Value) -> Option<String> {
    let id = ["task_id", "id"].iter().find_map(|key| match answer.get(*key)? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    })?;
    let is_usable = (1..=MAX_ID).contains(&id.len()) && id.chars().all(|character| !character.is_control());
    (is_usable && id != "." && id != "..").then_some(id)
}

/// Whatever is not known is under way.
fn outcome(answer: &Value) -> Outcome {
    let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
    match status.to_ascii_lowercase().as_str() {
        "completed" | "success" | "succeeded" | "done" | "complete" => Outcome::Done,
        "failed" | "error" | "cancelled" | "timed_out" => {
            let reason = answer
                .get("error")
                .map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned));
            Outcome::Failed(reason.unwrap_or_else(|| format!("its task is {status}")))
        }
        _ => Outcome::Waiting,
    }
}

impl Engine for Task {
    fn describe(&self) -> EngineInfo {
        EngineInfo { engine: "task".to_owned(), model: self.server.settings().model.clone() }
    }

    /// These servers have one model.
    fn with_model(&self, _: &str) -> Option<Arc<dyn Engine>> {
        None
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        Ok(self.server.fingerprint("task"))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn max_samples(&self) -> u64 {
        self.server.settings().max_samples()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(self.server.ping())
    }

    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(self.ask(chunk, control))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_word_for_a_state_is_known() {
        for done in ["completed", "success", "succeeded", "done", "complete", "COMPLETED"] {
            assert_eq!(outcome(&json!({ "status": done })), Outcome::Done, "{done}");
        }
        for failed in ["failed", "error", "FAILED", "CANCELLED", "TIMED_OUT"] {
            let reason = outcome(&json!({ "status": failed, "error": "no sound" }));
            assert_eq!(reason, Outcome::Failed("no sound".to_owned()), "{failed}");
            assert!(matches!(outcome(&json!({ "status": failed })), Outcome::Failed(_)));
        }
        for waiting in
            ["pending", "processing", "queued", "running", "IN_QUEUE", "IN_PROGRESS", "thinking", ""]
        {
            assert_eq!(outcome(&json!({ "status": waiting })), Outcome::Waiting, "{waiting}");
        }
        assert_eq!(outcome(&json!([])), Outcome::Waiting);
    }

    #[test]
    fn ids_are_short_words_and_no_way_to_elsewhere() {
        let long = "x".repeat(MAX_ID + 1);
        for (answer, expected) in [
            (json!({ "task_id": "a/../b?c" }), Some("a/../b?c")),
            (json!({ "id": 7 }), Some("7")),
            (json!({ "task_id": ".." }), None),
            (json!({ "task_id": "" }), None),
            (json!({ "task_id": "a\nb" }), None),
            (json!({ "task_id": long }), None),
            (json!({ "task_id": null }), None),
            (json!("a"), None),
        ] {
            assert_eq!(task_id(&answer).as_deref(), expected, "{answer}");
        }
    }
}
