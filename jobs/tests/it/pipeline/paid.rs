//! A paid transcription server: each task is paid for once.

use std::sync::Arc;

use bedel_storage::keys;
use bedel_test_support::{Moment, Statement};
use bedel_upstream::{Resource, delivery_info, media};

use super::fake_engine::FakeEngine;
use super::harness::{Harness, LECTURE, STAGES, until_held};
use super::process::Process;
use crate::task_server::{Manner, TaskServer};

const SECONDS: u32 = 20;

async fn harness() -> Harness {
    let directory = tempfile::tempdir().expect("a directory");
    let harness = Harness::new().await;
    let recording = media::recording(directory.path(), SECONDS, false);
    harness.upstream.serve("/short.mp4", Resource::new(recording));
    let described =
        delivery_info::ready(&harness.upstream.url("/short.mp4"), "Lecture 1", f64::from(SECONDS));
    harness.upstream.on(delivery_info::PATH, [described]);
    harness.start("submit").await;
    harness
}

async fn transcript(harness: &Harness) -> String {
    let json = harness.ctx.storage.get_bytes(&keys::transcript_json(LECTURE), 1 << 20).await;
    let mut json: serde_json::Value =
        serde_json::from_slice(&json.expect("a transcript")).expect("a payload");
    assert!(json["raw"][0]["answer"]["status"].is_string(), "{json}");
    json.as_object_mut().expect("a payload").remove("raw");
    json.to_string()
}

async fn server() -> TaskServer {
    TaskServer::start(Arc::new(FakeEngine::default()), Manner::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_paid_for_once_and_only_with_the_lease() {
    let undisturbed = harness().await;
    let server_undisturbed = server().await;
    let proxy = undisturbed.proxy();
    let mut process = Process::start(&undisturbed, &proxy, &STAGES, server_undisturbed.url.as_str());
    undisturbed.until_state("transcribe", "completed").await;
    process.kill();
    assert_eq!(server_undisturbed.posted().len(), 1);
    let statements = proxy.statements_of("transcribe");
    let saved = |from: usize| {
        let found = statements[from..].iter().position(|statement| statement == "fence::save_checkpoint");
        from + found.unwrap_or_else(|| panic!("no checkpoint in {statements:?}"))
    };
    let entered = saved(0);
    let noted = saved(entered + 1);

    // The database is away, so the lease is unknown: no call starts. Then the worker is killed after the task
    // id is saved.
    let (harness, server) = (harness().await, server().await);
    let proxy = harness.proxy();
    let mut hold = proxy.hold(Statement::OfKind("transcribe", entered), Moment::Before);
    let mut process = Process::start(&harness, &proxy, &STAGES, server.url.as_str());
    until_held("the call is entered", &mut hold).await;
    assert_eq!(server.posted(), Vec::<String>::new(), "begun without asking");
    process.kill();
    hold.cut();

    let proxy = harness.proxy();
    let mut hold = proxy.hold(Statement::OfKind("transcribe", noted), Moment::After);
    let mut process = Process::start(&harness, &proxy, &["transcribe"], server.url.as_str());
    until_held("the task is noted", &mut hold).await;
    assert_eq!(server.posted().len(), 1);
    process.kill();
    hold.cut();
    let proxy = harness.proxy();
    let mut process =
        Process::start(&harness, &proxy, &["transcribe", "cleanup-orphans"], server.url.as_str());
    harness.until_state("transcribe", "completed").await;
    harness.until_done("cleanup-orphans").await;
    process.kill();

    assert_eq!(server.posted().len(), 1, "paid again");
    assert_eq!(transcript(&harness).await, transcript(&undisturbed).await);
    let pieces = harness.files_of_lecture().into_iter().filter(|name| name.contains("piece-")).count();
    assert_eq!(pieces, 0);
    let (crashes, crashed): (i32, i64) = sqlx::query_as(
        "SELECT crashes, (SELECT count(*) FROM queue.failed_attempts WHERE job_id = jobs.id AND class = 'crashed')
         FROM queue.jobs WHERE kind = 'transcribe'",
    )
    .fetch_one(harness.pool())
    .await
    .expect("the job");
    assert_eq!((crashes, crashed), (0, 2), "the one after which it went on forgets the one before");
}
