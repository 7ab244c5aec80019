//! The engine `openai`.

use std::time::Instant;

use bedel_queue::JobError;
use bedel_speech::remote::{ApiKey, RemoteEngine};
use bedel_speech::{Engine, EngineError, Hints, Prompt};

use super::http_proxy::{Fault, HttpProxy};
use super::openai_server::OpenaiServer;
use super::*;
use crate::environment::decision;
use crate::memory_call_log::MemoryCallLog;

pub fn engine(settings: RemoteSettings) -> RemoteEngine {
    RemoteEngine::openai(settings, media()).expect("a client")
}

async fn server() -> OpenaiServer {
    OpenaiServer::start(Arc::new(EMBEDDED.clone())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_is_encoded_first() {
    assert_large_upload_is_encoded(&server().await.url).await;
}

/// Asserts that this server reads an upload that is too large as WAV.
pub async fn assert_large_upload_is_encoded(server: &url::Url) {
    let proxy = HttpProxy::start(server).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let engine = engine(RemoteSettings { max_upload_bytes: 200_000, ..settings(&proxy.url) });
    assert!(engine.max_samples() < 600 * 16_000);
    let book = MemoryCallLog::default();
    let heard = engine.transcribe(book.chunk(&SPEECH, None, scratch.path()), &control()).await;
    assert_heard("encoded", &heard.expect("heard"), seconds(&SPEECH));

    let seen = &proxy.requests()[0];
    assert!(seen.body.len() < 200_000, "{} bytes", seen.body.len());
    let (name, length) = uploaded(&seen.body, seen.header("content-type").expect("a type"), "file").await;
    assert_eq!(name, "audio.m4a");
    assert!((length - seconds(&SPEECH)).abs() < 0.2, "{length}");
}

/// Both protocols have the same two fields.
#[tokio::test(flavor = "multi_thread")]
async fn language_and_vocabulary_are_form_fields() {
    let proxy = HttpProxy::start(&server().await.url).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let (openai, book) = (engine(settings(&proxy.url)), MemoryCallLog::default());
    let tasks = RemoteEngine::task(settings(&proxy.url), media()).expect("a client");
    for engine in [Arc::new(openai) as Arc<dyn Engine>, Arc::new(tasks)] {
        let terms = (0..200).map(|number| format!("eigenvalue {number:03}"));
        let hints = Hints { language: Some("en".to_owned()), prompt: Prompt::new(terms) };
        let hinted = hints.apply(engine);
        // The task server's paths are not there; only the request matters.
        let _ = hinted.transcribe(book.chunk(&SPEECH, None, scratch.path()), &control()).await;
    }
    let requests = proxy.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let body = String::from_utf8_lossy(&request.body);
        let field = |name: &str| {
            let (_, rest) = body.split_once(&format!("name=\"{name}\"\r\n\r\n")).expect(name);
            rest.split("\r\n").next().expect("a value").to_owned()
        };
        assert_eq!(field("language"), "en");
        let prompt = field("prompt");
        assert!(prompt.starts_with("eigenvalue 000, eigenvalue 001,") && prompt.ends_with('.'), "{prompt}");
        assert!((500..=660).contains(&prompt.len()), "{} bytes", prompt.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_error_and_none_costs_a_second_call() {
    let server = server().await;
    let (proxy, elsewhere) = (HttpProxy::start(&server.url).await, HttpProxy::start(&server.url).await);
    let scratch = tempfile::tempdir().expect("a directory");
    let key = ApiKey::new("hunter2").expect("a key");
    let engine = engine(RemoteSettings { key: Some(key), ..settings(&proxy.url) });
    let answer =
        |status, body| Fault::Answer { status, headers: vec![("content-type", "application/json")], body };
    let with = |status, name, value| Fault::Answer { status, headers: vec![(name, value)], body: "later" };
    let moved: &'static str = Box::leak(elsewhere.url.to_string().into_boxed_str());
    let cases = [
        (with(429, "retry-after", "7"), "engine-busy", "wait", Some(7)),
        (
            answer(
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
            ),
            "engine-busy",
            "wait",
            Some(30),
        ),
        (with(503, "retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), "engine-busy", "wait", Some(5)),
        (with(502, "content-type", "text/html"), "engine-away", "wait", Some(30)),
        (with(500, "content-type", "text/html"), "engine", "retry", None),
        (
            answer(401, r#"{"error":"Incorrect API key provided: hunter2"}"#),
            "engine-refused",
            "wait",
            Some(300),
        ),
        (answer(403, ""), "engine-refused", "wait", Some(300)),
        (answer(404, r#"{"detail":"Not Found"}"#), "engine-refused", "wait", Some(300)),
        (with(302, "location", moved), "engine-refused", "wait", Some(300)),
        (with(200, "content-type", "text/html; charset=utf-8"), "engine-refused", "wait", Some(300)),
        (answer(409, r#"{"error":"a request with this key is under way"}"#), "engine-busy", "wait", Some(30)),
        (with(524, "content-type", "text/html"), "engine-away", "wait", Some(30)),
        (answer(413, "too large"), "engine-refused", "wait", Some(300)),
        (answer(400, "bad request hunter2"), "engine", "retry", None),
        (
            answer(422, r#"{"detail":[{"loc":["body","file"],"msg":"field required"}]}"#),
            "engine",
            "retry",
            None,
        ),
        (answer(500, r#"{"error":"failed to process audio"}"#), "engine", "retry", None),
        (answer(200, r#"{"text": "never ends"#), "engine", "retry", None),
        (answer(200, r#"{"status":"ok"}"#), "engine", "retry", None),
        (Fault::Flood(40 << 20), "engine", "retry", None),
        (Fault::CutAnswer, "engine-away", "wait", Some(30)),
    ];
    for (number, (fault, class, what, delay)) in cases.into_iter().enumerate() {
        proxy.answer_with([fault.clone()]);
        let book = MemoryCallLog::default();
        let passage = book.chunk(&SPEECH, Some("en"), scratch.path());
        let error = engine.transcribe(passage, &control()).await.expect_err(class);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        let error = JobError::from(error);
        assert_eq!(decision(&error), (class, what), "{fault:?}");
        let waits = error.wait_delay().map(|delay| delay.as_secs());
        assert!(delay.is_none() || waits == delay, "{fault:?}: {waits:?}");
        assert_eq!((proxy.requests().len(), book.calls()), (number + 1, 1), "{fault:?}");
        // Calls that certainly cost nothing are removed. A call with a final answer is not repeated under the
        // same key.
        let (known, is_unpaid) = (book.last(), matches!(class, "engine-busy" | "engine-refused"));
        assert_eq!(
            (known.calls, known.failures),
            (u32::from(!is_unpaid), u32::from(class == "engine")),
            "{fault:?}"
        );
    }
    assert_eq!(elsewhere.requests().len(), 0, "a redirect is not followed");

    let book = MemoryCallLog::default();
    let heard = engine.transcribe(book.chunk(&SPEECH, Some("en"), scratch.path()), &control()).await;
    assert_heard("afterwards", &heard.expect("heard"), seconds(&SPEECH));
    let seen = proxy.requests();
    let last = seen.last().expect("a request");
    assert_eq!((last.method.as_str(), last.path.as_str()), ("POST", "/v1/audio/transcriptions"));
    assert_eq!(last.header("authorization"), Some("Bearer hunter2"));
    assert!(
        seen.iter().all(|seen| seen.header("idempotency-key") == Some("0a1b-0-0")),
        "one key for one passage"
    );
}

/// A proxy that times out before its server is done: each call may be charged.
#[tokio::test(flavor = "multi_thread")]
async fn unanswered_calls_are_few_and_further_and_further_apart() {
    let server = server().await;
    let proxy = HttpProxy::start(&server.url).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let (engine, book) = (engine(settings(&proxy.url)), MemoryCallLog::default());
    let passage = book.chunk(&SPEECH, None, scratch.path());
    let gateway = Fault::Answer { status: 504, headers: vec![("content-type", "text/html")], body: "<html>" };
    proxy.answer_with(std::iter::repeat_n([gateway, Fault::CutAnswer], 3).flatten());
    let mut delays = Vec::new();
    for _ in 0..6 {
        let error = JobError::from(engine.transcribe(passage, &control()).await.unwrap_err());
        assert_eq!(decision(&error), ("engine-away", "wait"));
        delays.extend(error.wait_delay().map(|delay| delay.as_secs()));
    }
    assert_eq!(delays, [30, 120, 480, 1920, 3600, 3600]);
    let error = JobError::from(engine.transcribe(passage, &control()).await.unwrap_err());
    assert_eq!((decision(&error), proxy.requests().len()), (("engine", "fatal"), 6));
    assert!(proxy.requests().iter().all(|seen| seen.header("idempotency-key") == Some("0a1b-0-0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_times_out_and_a_cancel_ends_the_call_at_once() {
    let absent = url::Url::parse("http://127.0.0.1:9/v1").expect("an address");
    let proxy = HttpProxy::start(&absent).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let book = MemoryCallLog::default();
    let passage = book.chunk(&SPEECH, None, scratch.path());

    proxy.answer_with([Fault::Silence, Fault::Silence]);
    let quick =
        engine(RemoteSettings { grace: Duration::from_millis(200), patience: 0.01, ..settings(&proxy.url) });
    let error = JobError::from(quick.transcribe(passage, &control()).await.unwrap_err());
    assert_eq!(decision(&error), ("engine", "retry"));

    let token = CancellationToken::new();
    let control = Control::new(token.clone(), |_| ());
    let patient = engine(settings(&proxy.url));
    let waiting = patient.transcribe(passage, &control);
    tokio::pin!(waiting);
    while proxy.requests().len() < 2 {
        tokio::select! {
            outcome = &mut waiting => panic!("{outcome:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    let cancelled = Instant::now();
    token.cancel();
    let error = waiting.await.unwrap_err();
    assert!(matches!(error, EngineError::Cancelled), "{error}");
    while proxy.abandoned() < 2 {
        assert!(cancelled.elapsed() < Duration::from_secs(1), "the server was not hung up on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn no_call_starts_without_the_lease_and_an_absent_server_costs_nothing() {
    let absent = url::Url::parse("http://127.0.0.1:9/v1").expect("an address");
    let proxy = HttpProxy::start(&absent).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let closed = MemoryCallLog { is_closed: true, ..MemoryCallLog::default() };
    let engine_there = engine(settings(&proxy.url));
    let error =
        engine_there.transcribe(closed.chunk(&SPEECH, None, scratch.path()), &control()).await.unwrap_err();
    assert!(matches!(error, EngineError::Cancelled), "{error}");
    assert_eq!(proxy.requests().len(), 0);

    let book = MemoryCallLog::default();
    let passage = book.chunk(&SPEECH, None, scratch.path());
    proxy.answer_with([Fault::Answer { status: 404, headers: Vec::new(), body: "" }]);
    engine_there.ping().await.expect("the server answers");
    engine(settings(&absent)).ping().await.expect_err("no server");
    let error = JobError::from(engine(settings(&absent)).transcribe(passage, &control()).await.unwrap_err());
    assert_eq!(decision(&error), ("engine-away", "wait"));
    assert_eq!((book.calls(), book.last().calls), (1, 0), "struck out");
}
