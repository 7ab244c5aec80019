//! A recording of two pieces, whose worker dies with the first one finished.

use bedel_storage::keys;
use bedel_upstream::{Resource, delivery_info, media};
use serde_json::{Value, json};

use super::STAGES;
use super::door::{Door, Point};
use super::line::{LECTURE, Line, soon};
use super::process::Process;

/// Longer than a piece may be, in seconds.
const SECONDS: u32 = 640;

async fn line(recording: &Resource) -> Line {
    let line = Line::new().await;
    line.upstream.serve("/long.mp4", recording.clone());
    let described = delivery_info::ready(&line.upstream.url("/long.mp4"), "Lecture 1", f64::from(SECONDS));
    line.upstream.on(delivery_info::PATH, [described]);
    line.start("submit").await;
    line
}

async fn transcript(line: &Line) -> String {
    let json = line.ctx.storage.get_bytes(&keys::transcript_json(LECTURE), 1 << 20).await;
    String::from_utf8_lossy(&json.expect("a transcript")).into_owned()
}

fn pieces(line: &Line) -> Vec<String> {
    line.files_of_lecture().into_iter().filter(|name| name.contains("piece-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_costs_the_piece_under_way_and_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let recording = Resource::new(media::recording(directory.path(), SECONDS, false));

    let undisturbed = line(&recording).await;
    let door = Door::new(&undisturbed.pool().connect_options());
    let mut process = Process::start(&undisturbed, &door, &STAGES, "quick");
    undisturbed.until_state("transcribe", "completed").await;
    process.kill();
    let statements = door.statements("transcribe");
    let saved = statements.iter().position(|statement| statement == "fence::save_checkpoint");
    let saved = saved.unwrap_or_else(|| panic!("no checkpoint in {statements:?}"));

    let line = line(&recording).await;
    let door = Door::new(&line.pool().connect_options());
    let mut shut = door.shut("transcribe", Point::After(saved));
    let mut process = Process::start(&line, &door, &STAGES, "quick");
    soon("the first piece is stored", &mut shut.reached).await.expect("the door is shut");
    assert_eq!(pieces(&line).len(), 1);
    process.kill();
    drop(shut);
    let door = Door::new(&line.pool().connect_options());
    let mut process = Process::start(&line, &door, &["transcribe", "cleanup-orphans"], "quick");
    line.until_state("transcribe", "completed").await;
    line.until_done("cleanup-orphans").await;
    process.kill();

    assert_eq!(transcript(&line).await, transcript(&undisturbed).await);
    assert_eq!(pieces(&line), Vec::<String>::new());
    let (crashes, checkpoint, result): (i32, Value, Value) =
        sqlx::query_as("SELECT crashes, checkpoint, result FROM queue.jobs WHERE kind = 'transcribe'")
            .fetch_one(line.pool())
            .await
            .expect("the job");
    assert_eq!(crashes, 0, "it had gone on before it crashed");
    assert_eq!((&checkpoint["pieces"], &result["pieces"]), (&json!(2), &json!(2)));
    let seconds = |key: &str| result[key].as_f64().expect(key);
    let first = seconds("audio_seconds") - seconds("transcribed_seconds");
    assert!((300.0..=600.0).contains(&first), "{result}");
}
