//! A recording of two pieces, whose worker is killed after the first.

use bedel_storage::keys;
use bedel_test_support::{Moment, Statement};
use bedel_upstream::{Resource, delivery_info, media};
use serde_json::{Value, json};

use super::harness::{Harness, LECTURE, STAGES, until_held};
use super::process::Process;

/// Longer than the longest piece, in seconds.
const SECONDS: u32 = 640;

async fn harness(recording: &Resource) -> Harness {
    let harness = Harness::new().await;
    harness.upstream.serve("/long.mp4", recording.clone());
    let described = delivery_info::ready(&harness.upstream.url("/long.mp4"), "Lecture 1", f64::from(SECONDS));
    harness.upstream.on(delivery_info::PATH, [described]);
    harness.start("submit").await;
    harness
}

async fn transcript(harness: &Harness) -> String {
    let json = harness.ctx.storage.get_bytes(&keys::transcript_json(LECTURE), 1 << 20).await;
    String::from_utf8_lossy(&json.expect("a transcript")).into_owned()
}

fn pieces(harness: &Harness) -> Vec<String> {
    harness.files_of_lecture().into_iter().filter(|name| name.contains("piece-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_costs_only_the_piece_in_flight() {
    let directory = tempfile::tempdir().expect("a directory");
    let recording = Resource::new(media::recording(directory.path(), SECONDS, false));

    let undisturbed = harness(&recording).await;
    let proxy = undisturbed.proxy();
    let mut process = Process::start(&undisturbed, &proxy, &STAGES, "quick");
    undisturbed.until_state("transcribe", "completed").await;
    process.kill();
    let statements = proxy.statements_of("transcribe");
    let saved = statements.iter().position(|statement| statement == "fence::save_checkpoint");
    let saved = saved.unwrap_or_else(|| panic!("no checkpoint in {statements:?}"));

    let harness = harness(&recording).await;
    let proxy = harness.proxy();
    let mut hold = proxy.hold(Statement::OfKind("transcribe", saved), Moment::After);
    let mut process = Process::start(&harness, &proxy, &STAGES, "quick");
    until_held("the first piece is stored", &mut hold).await;
    assert_eq!(pieces(&harness).len(), 1);
    process.kill();
    hold.cut();
    let proxy = harness.proxy();
    let mut process = Process::start(&harness, &proxy, &["transcribe", "cleanup-orphans"], "quick");
    harness.until_state("transcribe", "completed").await;
    harness.until_done("cleanup-orphans").await;
    process.kill();

    assert_eq!(transcript(&harness).await, transcript(&undisturbed).await);
    assert_eq!(pieces(&harness), Vec::<String>::new());
    let (crashes, checkpoint, result): (i32, Value, Value) =
        sqlx::query_as("SELECT crashes, checkpoint, result FROM queue.jobs WHERE kind = 'transcribe'")
            .fetch_one(harness.pool())
            .await
            .expect("the job");
    assert_eq!(crashes, 0, "it made progress before it crashed");
    assert_eq!((&checkpoint["pieces"], &result["pieces"]), (&json!(2), &json!(2)));
    let seconds = |key: &str| result[key].as_f64().expect(key);
    let first = seconds("audio_seconds") - seconds("transcribed_seconds");
    assert!((300.0..=600.0).contains(&first), "{result}");
}
