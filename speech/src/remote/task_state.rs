//! The state of a task, in the words of published servers: Celery, RQ, RunPod, Replicate, fal.ai, AssemblyAI,
//! Gladia, Rev, Speechmatics, Azure, AWS Transcribe, SageMaker, Google's operations, Slurm and Kubernetes.

use serde_json::Value;

use crate::payload;

/// Longest word of a state that an error shows, in characters.
const MAX_WORD: usize = 60;

/// In lower case without punctuation: `IN_PROGRESS` is `inprogress`.
const DONE: [&str; 13] = [
    "completed",
    "complete",
    "success",
    "succeeded",
    "successful",
    "done",
    "finished",
    "ready",
    "transcribed",
    "processed",
    "ended",
    "completedwithwarnings",
    "ok",
];

const FAILED: [&str; 42] = [
    "failed",
    "failure",
    "fail",
    "error",
    "errored",
    "cancelled",
    "canceled",
    "cancelling",
    "canceling",
    "cancel",
    "aborted",
    "aborting",
    "abort",
    "revoked",
    "rejected",
    "expired",
    "timedout",
    "timeout",
    "terminated",
    "terminating",
    "killed",
    "stopped",
    "stopping",
    "deleted",
    "ignored",
    "invalid",
    "crashed",
    "dead",
    "lost",
    "notfound",
    "unsuccessful",
    "webhookfailed",
    "outofmemory",
    "nodefail",
    "preempted",
    "bootfail",
    "deadline",
    "skipped",
    "denied",
    "interrupted",
    "exception",
    "partiallyfailed",
];

const RUNNING: [&str; 41] = [
    "pending",
    "processing",
    "queued",
    "queueing",
    "running",
    "inqueue",
    "inprogress",
    "progress",
    "started",
    "starting",
    "start",
    "retry",
    "retrying",
    "received",
    "accepted",
    "submitted",
    "created",
    "scheduled",
    "scheduling",
    "waiting",
    "wait",
    "active",
    "working",
    "busy",
    "deferred",
    "delayed",
    "notstarted",
    "preparing",
    "initializing",
    "initialising",
    "transcribing",
    "uploading",
    "downloading",
    "loading",
    "booting",
    "provisioning",
    "configuring",
    "completing",
    "new",
    "open",
    "paused",
];

/// The state of a task.
#[derive(Debug, PartialEq)]
pub(super) enum TaskState {
    Done,
    Failed(String),
    Running,
    /// The answer names a state that is in no list here, or none (an empty word), or one of the end without a
    /// transcript.
    Unknown(String),
}

/// The state in an answer. One failure among several words is a failure: envelopes say "ok" around it.
pub(super) fn task_state(answer: &Value) -> TaskState {
    let places = places(answer);
    let words: Vec<&str> = places.iter().flat_map(|place| words(place)).collect();
    let plain = |word: &str| {
        let plain: String =
            word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        // Google's batch jobs.
        plain.strip_prefix("jobstate").map(str::to_owned).unwrap_or(plain)
    };
    let find = |list: &[&str]| words.iter().find(|word| list.contains(&plain(word).as_str())).copied();
    if let Some(word) = find(&FAILED) {
        let reason = places.iter().find_map(|place| reason(place));
        return TaskState::Failed(reason.unwrap_or_else(|| format!("its task is {word}")));
    }
    if find(&RUNNING).is_some() {
        return TaskState::Running;
    }
    // "ok" and "ready" may be about the request.
    if find(&DONE).is_some() && payload::has_transcript(answer) {
        return TaskState::Done;
    }
    if let Some(word) = words.first() {
        return TaskState::Unknown(word.chars().take(MAX_WORD).collect());
    }
    // Google's operations, and servers that answer with the bare transcript.
    let flag = |key: &str| answer.get(key).and_then(Value::as_bool);
    match ["done", "completed", "finished", "ready"].into_iter().find_map(flag) {
        Some(false) => TaskState::Running,
        Some(true) if answer.get("error").is_some_and(|error| !error.is_null()) => {
            TaskState::Failed(reason(answer).unwrap_or_default())
        }
        Some(true) if payload::has_transcript(answer) => TaskState::Done,
        Some(true) => TaskState::Unknown("done".to_owned()),
        None if payload::is_bare_transcript(answer) => TaskState::Done,
        None => reason(answer).map_or_else(|| TaskState::Unknown(String::new()), TaskState::Failed),
    }
}

/// The answer and the objects in it that may hold the state.
fn places(answer: &Value) -> Vec<&Value> {
    const INNER: [&str; 10] = [
        "status",
        "state",
        "data",
        "task",
        "job",
        "result",
        "output",
        "metadata",
        "transcription",
        "TranscriptionJob",
    ];
    std::iter::once(answer)
        .chain(INNER.iter().filter_map(|key| answer.get(*key)))
        .filter(|place| place.is_object())
        .collect()
}

fn words(place: &Value) -> impl Iterator<Item = &str> {
    const KEYS: [&str; 8] = [
        "status",
        "state",
        "task_status",
        "taskStatus",
        "job_status",
        "jobStatus",
        "task_state",
        "TranscriptionJobStatus",
    ];
    KEYS.into_iter().filter_map(|key| place.get(key)?.as_str()).filter(|word| !word.trim().is_empty())
}

/// The server's words for a failure.
fn reason(place: &Value) -> Option<String> {
    const KEYS: [&str; 9] = [
        "error",
        "errors",
        "error_message",
        "failure_reason",
        "failure_detail",
        "FailureReason",
        "reason",
        "message",
        "detail",
    ];
    let found =
        KEYS.into_iter().filter_map(|key| place.get(key)).find(|value| !value.is_null() && *value != "")?;
    Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn published_words_are_known() {
        for done in [
            "completed",
            "success",
            "succeeded",
            "done",
            "complete",
            "COMPLETED",
            "Succeeded",
            "SUCCESS",
            "finished",
            "ready",
            "transcribed",
            "JOB_STATE_SUCCEEDED",
        ] {
            let silent = json!({ "status": done, "text": "", "segments": [] });
            assert_eq!(task_state(&silent), TaskState::Done, "{done}");
            let without = TaskState::Unknown(done.to_owned());
            assert_eq!(task_state(&json!({ "status": done, "result": null })), without);
        }
        for failed in [
            "failed",
            "error",
            "FAILED",
            "CANCELLED",
            "canceled",
            "TIMED_OUT",
            "timeout",
            "aborted",
            "FAILURE",
            "REVOKED",
            "expired",
            "rejected",
            "REJECTED",
            "IGNORED",
            "errored",
            "terminated",
            "Stopped",
            "deleted",
            "WEBHOOK_FAILED",
            "JOB_STATE_EXPIRED",
            "OUT_OF_MEMORY",
        ] {
            let reason = task_state(&json!({ "status": failed, "error": "no sound" }));
            assert_eq!(reason, TaskState::Failed("no sound".to_owned()), "{failed}");
            let word = TaskState::Failed(format!("its task is {failed}"));
            assert_eq!(task_state(&json!({ "state": failed, "error": null })), word);
        }
        for waiting in [
            "pending",
            "PENDING",
            "processing",
            "queued",
            "running",
            "IN_QUEUE",
            "IN_PROGRESS",
            "in_progress",
            "InProgress",
            "starting",
            "STARTED",
            "RETRY",
            "RECEIVED",
            "NotStarted",
            "scheduled",
            "waiting",
            "active",
            "JOB_STATE_RUNNING",
        ] {
            assert_eq!(task_state(&json!({ "status": waiting })), TaskState::Running, "{waiting}");
        }
    }

    #[test]
    fn states_are_found_where_servers_put_them() {
        let failed = |reason: &str| TaskState::Failed(reason.to_owned());
        for (answer, expected) in [
            (json!({ "job": { "status": "done" }, "text": "a" }), TaskState::Done),
            (json!({ "job": { "status": "done" } }), TaskState::Unknown("done".to_owned())),
            (
                json!({ "status": "ok", "data": { "task": { "status": "processing" } } }),
                TaskState::Unknown("ok".to_owned()),
            ),
            (json!({ "status": "success", "result": { "text": "" } }), TaskState::Done),
            (json!({ "done": true, "response": null }), TaskState::Unknown("done".to_owned())),
            (json!({ "text": "", "segments": [] }), TaskState::Done),
            (json!({ "result": { "text": "", "segments": [] } }), TaskState::Done),
            (json!({ "status": { "state": "running" } }), TaskState::Running),
            (json!({ "status": "ok", "data": { "status": "processing" } }), TaskState::Running),
            (
                json!({ "status": "success", "data": { "state": "failed", "message": "no sound" } }),
                failed("no sound"),
            ),
            (
                json!({ "TranscriptionJob": { "TranscriptionJobStatus": "FAILED", "FailureReason": "too long" } }),
                failed("too long"),
            ),
            (json!({ "name": "operations/1", "done": true, "response": { "text": "a" } }), TaskState::Done),
            (json!({ "done": true, "error": { "code": 3 } }), failed("{\"code\":3}")),
            (json!({ "done": false }), TaskState::Running),
            (json!({ "text": "a" }), TaskState::Done),
            (json!({ "result": { "segments": [{ "start": 0, "end": 1, "text": "a" }] } }), TaskState::Done),
            (json!({ "status": "", "transcript": "a" }), TaskState::Done),
            (json!({ "error": "no such task" }), failed("no such task")),
            (json!({ "text": "" }), TaskState::Unknown(String::new())),
            (json!({ "status": null }), TaskState::Unknown(String::new())),
            (json!([]), TaskState::Unknown(String::new())),
            (json!(null), TaskState::Unknown(String::new())),
            (json!({ "status": "thinking" }), TaskState::Unknown("thinking".to_owned())),
            (json!({ "status": "fertig", "text": "a" }), TaskState::Unknown("fertig".to_owned())),
        ] {
            assert_eq!(task_state(&answer), expected, "{answer}");
        }
    }
}
