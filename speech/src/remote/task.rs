//! The task protocol: `POST {url}/transcribe` returns a task's id, `GET {url}/result/{id}` its state and
//! result.
//!
//! The id is recorded before anything else, so a later attempt polls the task instead of paying again. One
//! database statement lies between the server's answer and the record: a process that dies there leaves a
//! task that is never polled.

use std::time::{Duration, Instant};

use bedel_media::MediaTools;
use reqwest::Method;
use serde_json::Value;

use super::client::Server;
use super::error::RemoteError;
use super::paid_calls::{self, Call};
use super::task_state::{TaskState, task_state};
use super::upload::Upload;
use crate::call_log::PaidCall;
use crate::control::Control;
use crate::engine::AudioChunk;
use crate::engine_error::EngineError;
use crate::payload;
use crate::raw_transcript::RawTranscript;

/// Longest time to upload a recording.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// Longest time of one poll.
const POLL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an attempt polls a task of an earlier attempt. Enough to see whether it is done, or for a server
/// to restart.
const RESUME_TIMEOUT: Duration = Duration::from_secs(60);

/// Consecutive failed polls before giving up.
const MAX_FAILED_POLLS: usize = 5;

/// Longest accepted id of a task, in bytes.
const MAX_ID_BYTES: usize = 200;

pub(super) async fn transcribe(
    server: &Server,
    media: &MediaTools,
    chunk: AudioChunk<'_>,
    control: &Control,
) -> Result<RawTranscript, EngineError> {
    let client = TaskClient { server, media, chunk, control };
    let mut paid_call = chunk.call_log.paid_call(chunk.name);
    if paid_call.task.is_some() {
        if let Some(transcript) = client.poll(&paid_call, RESUME_TIMEOUT).await? {
            return Ok(transcript);
        }
        // The server has lost the task, but it might still know the old idempotency key.
        paid_call = PaidCall { failures: paid_call.failures + 1, task: None, ..paid_call };
        chunk.call_log.record(&paid_call).await?;
    }
    let paid_call = match client.start().await? {
        Started::Task(paid_call) => paid_call,
        Started::Done(transcript) => return Ok(transcript),
    };
    let timeout = server.settings().call_timeout(chunk.samples.len());
    match client.poll(&paid_call, timeout).await? {
        Some(transcript) => Ok(transcript),
        None => {
            let error = client.failed(404, "it does not know the task that it accepted");
            Err(paid_calls::record_failure(&chunk, paid_call, error).await)
        }
    }
}

/// The answer to a new task.
enum Started {
    Task(PaidCall),
    /// The server answered with the transcript itself.
    Done(RawTranscript),
}

/// One chunk's conversation with a task server.
struct TaskClient<'a> {
    server: &'a Server,
    media: &'a MediaTools,
    chunk: AudioChunk<'a>,
    control: &'a Control,
}

impl TaskClient<'_> {
    /// Uploads the chunk and records the task's id.
    async fn start(&self) -> Result<Started, EngineError> {
        let Self { server, media, chunk, control } = self;
        let upload = Upload::of(chunk, server, media).await?;
        let uploaded = upload.bytes();
        let form = upload.form("audio", chunk, server.settings());
        let build = |paid_call: &PaidCall| {
            let request = server.request(Method::POST, &["transcribe"]);
            // A server that honours the key returns the same task for a request it has seen.
            request.header("Idempotency-Key", paid_call.idempotency_key()).multipart(form)
        };
        let call = Call { build, uploaded, timeout: UPLOAD_TIMEOUT };
        let (answer, paid_call) = paid_calls::make_call(server, chunk, call, control).await?;
        let Some(task) = task_id(&answer) else {
            if payload::is_bare_transcript(&answer) {
                return paid_calls::read_transcript(server, chunk, paid_call, answer)
                    .await
                    .map(Started::Done);
            }
            let error = server.without_transcript(&answer);
            return Err(paid_calls::record_failure(chunk, paid_call, error).await);
        };
        let paid_call = PaidCall { task: Some(task), ..paid_call };
        chunk.call_log.record(&paid_call).await?;
        Ok(Started::Task(paid_call))
    }

    /// Polls the task until it ends or the time is up. `None` if the server does not know it.
    async fn poll(
        &self,
        paid_call: &PaidCall,
        timeout: Duration,
    ) -> Result<Option<RawTranscript>, EngineError> {
        let Self { server, chunk, control, .. } = self;
        let settings = server.settings();
        let task = paid_call.task.as_deref().unwrap_or_default();
        let begun = Instant::now();
        let mut failures = 0;
        let mut unknown: Option<(String, Instant)> = None;
        loop {
            let mut pause = settings.poll;
            let request = server.request(Method::GET, &["result", task]);
            match server.ask(request, 0, POLL_TIMEOUT, control).await {
                Ok(answer) => {
                    failures = 0;
                    match task_state(&answer) {
                        TaskState::Running => unknown = None,
                        TaskState::Unknown(state) => {
                            let since = match unknown.take().filter(|(word, _)| *word == state) {
                                Some((_, since)) => since,
                                None => Instant::now(),
                            };
                            if since.elapsed() >= settings.unknown_state {
                                let (host, seconds) = (server.host(), since.elapsed().as_secs());
                                let state = server.detail(state.as_bytes());
                                let error = RemoteError::UnknownState { host, state, seconds };
                                return Err(paid_calls::record_failure(chunk, paid_call.clone(), error).await);
                            }
                            unknown = Some((state, since));
                        }
                        TaskState::Done => {
                            let paid_call = paid_call.clone();
                            return paid_calls::read_transcript(server, chunk, paid_call, answer)
                                .await
                                .map(Some);
                        }
                        // A failed task stays failed: the next attempt starts another one.
                        TaskState::Failed(reason) => {
                            let error = self.failed(200, &reason);
                            return Err(paid_calls::record_failure(chunk, paid_call.clone(), error).await);
                        }
                    }
                }
                Err(EngineError::Remote(error)) => {
                    let is_unknown = matches!(error, RemoteError::NotThere { status: 404 | 410, .. });
                    match failures < MAX_FAILED_POLLS && (is_unknown || error.is_transient()) {
                        // A proxy that lost the server for a moment may return any status.
                        true => {
                            tracing::warn!(%error, "polling a task failed");
                            failures += 1;
                            pause = pause.max(error.retry_after().unwrap_or_default());
                        }
                        false if is_unknown => return Ok(None),
                        false if error.is_final() => {
                            return Err(paid_calls::record_failure(chunk, paid_call.clone(), error).await);
                        }
                        false => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error),
            }
            // An unknown state is polled to its own end. Another attempt would begin to count again.
            let patience = if unknown.is_some() { timeout + settings.unknown_state } else { timeout };
            if begun.elapsed() >= patience {
                let (host, seconds) = (server.host(), timeout.as_secs());
                return Err(RemoteError::StillRunning { host, seconds }.into());
            }
            tokio::select! {
                () = control.cancelled() => return Err(EngineError::Cancelled),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn failed(&self, status: u16, reason: &str) -> RemoteError {
        let (host, detail) = (self.server.host(), self.server.detail(reason.as_bytes()));
        RemoteError::Failed { host, status, detail }
    }
}

/// The id in the answer to a new task.
fn task_id(answer: &Value) -> Option<String> {
    let places = [Some(answer), answer.get("data"), answer.get("task"), answer.get("job")];
    let keys = ["task_id", "taskId", "job_id", "jobId", "id"];
    let mut values =
        places.into_iter().flatten().flat_map(|place| keys.iter().filter_map(|key| place.get(*key)));
    let id = values.find_map(|value| match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    })?;
    let is_usable =
        (1..=MAX_ID_BYTES).contains(&id.len()) && id.chars().all(|character| !character.is_control());
    (is_usable && id != "." && id != "..").then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn task_ids_are_short_and_no_path() {
        let long = "x".repeat(MAX_ID_BYTES + 1);
        for (answer, expected) in [
            (json!({ "task_id": "a/../b?c" }), Some("a/../b?c")),
            (json!({ "id": 7 }), Some("7")),
            (json!({ "job_id": "a", "id": null }), Some("a")),
            (json!({ "data": { "taskId": "a" } }), Some("a")),
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
