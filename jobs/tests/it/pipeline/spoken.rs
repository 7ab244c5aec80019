//! The real engine, killed twice.

use bedel_speech::models;
use bedel_upstream::Reply;

use super::STAGES;
use super::door::{Door, Point};
use super::left::Left;
use super::line::{LECTURE, Line, eventually, soon};
use super::process::{Process, whisper};
use crate::recordings;

/// Killed while it listens, and once more with the transcript written but not yet in place.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_transcription_survives_kills() {
    drop(whisper(models::DEFAULT_MODEL)); // says what to do where the model is missing
    let directory = tempfile::tempdir().expect("a directory");
    let voice = "flite=text='Good morning and welcome to the first lecture of this course':voice=slt";
    let spoken =
        recordings::ffmpeg(&["-f", "lavfi", "-i", voice, "-c:a", "aac"], &directory.path().join("s.m4a"));
    let spoken = std::fs::read(spoken).expect("speech");
    let mut left = Vec::new();
    for killed in [false, true] {
        let line = Line::new().await;
        line.upstream.on("/lecture.mp4", [Reply::media(spoken.clone())]);
        line.start("submit").await;
        if killed {
            let door = Door::new(&line.pool().connect_options());
            let mut process = Process::start(&line, &door, &STAGES, "whisper");
            eventually("the engine listens", async || {
                line.scratch().iter().any(|name| name.ends_with("audio.f32"))
                    && line.count("transcribe", "running").await == 1
            })
            .await;
            process.kill();

            let door = Door::new(&line.pool().connect_options());
            let check = 6; // BEGIN, begin, hold, COMMIT, read, check before the leftovers go, check
            let mut shut = door.shut("transcribe", Point::Before(check));
            let mut process = Process::start(&line, &door, &STAGES, "whisper");
            soon("the transcript is written", &mut shut.reached).await.expect("the door is shut");
            assert_eq!(door.statements("transcribe").last().map(String::as_str), Some("fence::check"));
            assert!(line.files_of_lecture().iter().any(|key| key.ends_with(".json")));
            process.kill();
            drop(shut);
        }
        let door = Door::new(&line.pool().connect_options());
        let mut process = Process::start(&line, &door, &STAGES, "whisper");
        line.until_state("transcribe", "completed").await;
        process.kill();
        let text = line.ctx.storage.get_bytes(&format!("transcripts/{LECTURE}.json"), 1 << 20).await;
        let text = String::from_utf8_lossy(&text.expect("a transcript")).to_lowercase();
        assert!(text.contains("welcome to the first lecture"), "{text}");
        left.push(Left::of(&line).await);
    }
    left[1].assert_is(&left[0], "killed twice");
}
