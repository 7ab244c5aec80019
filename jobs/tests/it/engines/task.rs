//! The engine `task`.

use bedel_queue::JobError;
use bedel_speech::Engine;
use bedel_speech::remote::{ApiKey, RemoteEngine};

use super::http_proxy::{Fault, HttpProxy};
use super::*;
use crate::environment::decision;
use crate::memory_call_log::MemoryCallLog;
use crate::task_server::{Manner, Shape, TaskServer};

const WAITS: Manner =
    Manner { shape: Shape::Top, words: ("done", "running"), keeps_waiting: usize::MAX, fails: None };

fn engine(settings: RemoteSettings) -> RemoteEngine {
    RemoteEngine::task(settings, media()).expect("a client")
}

async fn server(manner: Manner) -> TaskServer {
    TaskServer::start(Arc::new(EMBEDDED.clone()), manner).await
}

fn noted(book: &MemoryCallLog) -> usize {
    usize::from(book.last().task.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_of_a_result_is_found() {
    let scratch = tempfile::tempdir().expect("a directory");
    for (shape, words) in [
        (Shape::Top, ("completed", "pending")),
        (Shape::Result, ("success", "processing")),
        (Shape::Captions, ("succeeded", "queued")),
        (Shape::Output, ("COMPLETED", "IN_PROGRESS")),
        (Shape::Text, ("done", "thinking about it")),
    ] {
        let server = server(Manner { shape, words, ..Manner::default() }).await;
        let (engine, book) = (engine(settings(&server.url)), MemoryCallLog::default());
        let heard = engine.transcribe(book.chunk(&SPEECH, None, scratch.path()), &control()).await;
        let heard = heard.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
        assert_heard(&format!("{shape:?}"), &heard, seconds(&SPEECH));
        assert_eq!(heard.raw["status"], words.0, "its own words are kept");
        assert_eq!((server.posted().len(), book.calls()), (1, 1));
    }
}

/// An attempt that ends while a task runs, and the next attempt.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_polls_the_task_and_does_not_pay_again() {
    let server = server(WAITS).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let (engine, book) = (engine(settings(&server.url)), MemoryCallLog::default());
    let passage = book.chunk(&SPEECH, None, scratch.path());
    let control = control();
    let attempt = engine.transcribe(passage, &control);
    tokio::pin!(attempt);
    while server.asked() < 3 {
        tokio::select! {
            outcome = &mut attempt => panic!("{outcome:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    assert_eq!(noted(&book), 1);

    server.behave(Manner { keeps_waiting: 0, ..WAITS });
    let heard = engine.transcribe(passage, &control).await.expect("heard");
    assert_heard("the next attempt", &heard, seconds(&SPEECH));
    assert_eq!((server.posted(), book.calls()), (vec!["0a1b-0-0".to_owned()], 1), "paid for once");

    // The server restarted: tasks that it forgot are started again.
    server.forget();
    let heard = engine.transcribe(passage, &control).await.expect("heard");
    assert_heard("after the server forgot", &heard, seconds(&SPEECH));
    assert_eq!(
        server.posted(),
        ["0a1b-0-0", "0a1b-0-1"],
        "under another key, or the server would answer with the lost task"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_replaces_a_failed_task() {
    let server = server(Manner { fails: Some("CUDA out of memory; key hunter2"), ..Manner::default() }).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let key = ApiKey::new("hunter2").expect("a key");
    let engine = engine(RemoteSettings { key: Some(key), ..settings(&server.url) });
    let book = MemoryCallLog::default();
    let passage = book.chunk(&SPEECH, None, scratch.path());
    let error = engine.transcribe(passage, &control()).await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("CUDA out of memory") && !shown.contains("hunter2"), "for the log: {shown}");
    assert_eq!((decision(&JobError::from(error)), noted(&book)), (("engine", "retry"), 0));
    server.behave(Manner::default());
    engine.transcribe(passage, &control()).await.expect("heard");
    assert_eq!(server.posted().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_task_frees_the_slot_and_is_polled_later() {
    let server = server(WAITS).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let hasty = RemoteSettings { grace: Duration::from_millis(300), patience: 0.01, ..settings(&server.url) };
    let book = MemoryCallLog::default();
    let passage = book.chunk(&SPEECH, None, scratch.path());
    let error = JobError::from(engine(hasty).transcribe(passage, &control()).await.unwrap_err());
    assert_eq!((decision(&error), noted(&book)), (("engine-busy", "wait"), 1));
    server.behave(Manner { keeps_waiting: 0, ..WAITS });
    engine(settings(&server.url)).transcribe(passage, &control()).await.expect("heard");
    assert_eq!(server.posted().len(), 1);
}

/// A server that is restarted behind its proxy answers nonsense for a while.
#[tokio::test(flavor = "multi_thread")]
async fn poll_errors_are_tolerated_for_a_while_and_never_cost_the_task() {
    let server = server(Manner { keeps_waiting: 2, ..Manner::default() }).await;
    let proxy = HttpProxy::start(&server.url).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let (engine, book) = (engine(settings(&proxy.url)), MemoryCallLog::default());
    let passage = book.chunk(&SPEECH, None, scratch.path());
    let answer =
        |status, body| Fault::Answer { status, headers: vec![("content-type", "application/json")], body };
    let taken = answer(200, r#"{"task_id": "x/../../transcribe"}"#);

    // A task id cannot lead to another path of the server.
    proxy.answer_with([taken].into_iter().chain(std::iter::repeat_n(answer(404, ""), 6)));
    let error = JobError::from(engine.transcribe(passage, &control()).await.unwrap_err());
    assert_eq!(decision(&error), ("engine", "retry"));
    assert_eq!(proxy.requests()[1].path, "/result/x%2F..%2F..%2Ftranscribe");
    book.entered.lock().expect("no panic").clear();

    // The upload passes; the faults start after it.
    let wrong =
        [answer(404, "no backend"), Fault::CutAnswer, answer(200, "{"), answer(500, ""), answer(503, "")];
    proxy.answer_with([Fault::None].into_iter().chain(wrong));
    let heard = engine.transcribe(passage, &control()).await.expect("heard");
    assert_heard("in the end", &heard, seconds(&SPEECH));
    assert_eq!(server.posted().len(), 1);

    proxy.answer_with(std::iter::repeat_n(answer(502, ""), 6));
    let error = JobError::from(engine.transcribe(passage, &control()).await.unwrap_err());
    assert_eq!((decision(&error), noted(&book)), (("engine-away", "wait"), 1));
    engine.transcribe(passage, &control()).await.expect("heard");
    assert_eq!(server.posted().len(), 1, "the task was asked for, not paid again");

    for strange in [r#"{"task_id": ".."}"#, r#"{"task_id": ""}"#, "[]"] {
        let book = MemoryCallLog::default();
        proxy.answer_with([answer(200, strange)]);
        let passage = book.chunk(&SPEECH, None, scratch.path());
        let error = JobError::from(engine.transcribe(passage, &control()).await.unwrap_err());
        assert_eq!((decision(&error), noted(&book)), (("engine", "retry"), 0), "{strange}");
    }
}

#[tokio::test]
async fn no_task_starts_without_the_lease() {
    let server = server(Manner::default()).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let book = MemoryCallLog { is_closed: true, ..MemoryCallLog::default() };
    let passage = book.chunk(&SPEECH, None, scratch.path());
    engine(settings(&server.url)).transcribe(passage, &control()).await.expect_err("closed");
    assert_eq!(server.posted(), Vec::<String>::new());
}
