//! The real engine, killed twice.

use bedel_speech::models;
use bedel_test_support::{Moment, Statement};
use bedel_upstream::Reply;

use super::harness::{Harness, LECTURE, STAGES, eventually, until_held};
use super::process::{Process, whisper};
use super::snapshot::Snapshot;
use crate::recordings;

/// Killed during transcription, and again with the transcript written but not yet renamed.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_transcription_survives_kills() {
    drop(whisper(models::DEFAULT_MODEL)); // says what to do where the model is missing
    let directory = tempfile::tempdir().expect("a directory");
    let voice = "flite=text='Good morning and welcome to the first lecture of this course':voice=slt";
    let spoken =
        recordings::ffmpeg(&["-f", "lavfi", "-i", voice, "-c:a", "aac"], &directory.path().join("s.m4a"));
    let spoken = std::fs::read(spoken).expect("speech");
    let mut snapshots = Vec::new();
    for killed in [false, true] {
        let harness = Harness::new().await;
        harness.upstream.on("/lecture.mp4", [Reply::media(spoken.clone())]);
        harness.start("submit").await;
        if killed {
            let proxy = harness.proxy();
            let mut process = Process::start(&harness, &proxy, &STAGES, "whisper");
            eventually("the engine listens", async || {
                harness.scratch().iter().any(|name| name.ends_with("audio.f32"))
                    && harness.count("transcribe", "running").await == 1
            })
            .await;
            process.kill();

            let proxy = harness.proxy();
            let check = 7; // BEGIN, begin, hold, COMMIT, read, options, check before the leftovers go, check
            let mut hold = proxy.hold(Statement::OfKind("transcribe", check), Moment::Before);
            let mut process = Process::start(&harness, &proxy, &STAGES, "whisper");
            until_held("the transcript is written", &mut hold).await;
            assert_eq!(proxy.statements_of("transcribe").last().map(String::as_str), Some("fence::check"));
            assert!(harness.files_of_lecture().iter().any(|key| key.ends_with(".json")));
            process.kill();
            hold.cut();
        }
        let proxy = harness.proxy();
        let mut process = Process::start(&harness, &proxy, &STAGES, "whisper");
        harness.until_state("transcribe", "completed").await;
        process.kill();
        let text = harness.ctx.storage.get_bytes(&format!("transcripts/{LECTURE}.json"), 1 << 20).await;
        let text = String::from_utf8_lossy(&text.expect("a transcript")).to_lowercase();
        assert!(text.contains("welcome to the first lecture"), "{text}");
        snapshots.push(Snapshot::take(&harness).await);
    }
    snapshots[1].assert_equals(&snapshots[0], "killed twice");
}
