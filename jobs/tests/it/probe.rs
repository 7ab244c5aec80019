//! `probe`, run by a real worker.

use std::path::Path;

use bedel_jobs::lecture::{self, LectureStatus};
use bedel_jobs::probe::Probe;
use bedel_queue::{Attempt, Job};
use bedel_storage::keys;
use serde_json::json;
use uuid::Uuid;

use crate::recordings;
use crate::test_env::{Ended, TestEnv};

impl TestEnv {
    /// A lecture with this audio, as after `download`.
    async fn downloaded(&self, file: &Path) -> Uuid {
        let id = self.lecture("downloading").await;
        self.ctx.storage.put_file(&keys::audio(id), file).await.unwrap();
        self.execute("UPDATE lectures SET audio_storage_key = 'audio/' || id || '.m4a' WHERE id = $1", id)
            .await;
        id
    }

    async fn probe(&self, lecture_id: Uuid, announced_seconds: Option<f64>) -> Ended {
        let probe = Probe { lecture_id, announced_seconds };
        self.work::<Probe>(&bedel_jobs::pipeline::stage_job(&probe, &self.ctx.settings)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_recording_gets_its_duration_and_continues_to_transcribe() {
    let env = TestEnv::open().await;
    let id = env.downloaded(&recordings::audio(env.directory.path(), 7)).await;
    env.execute("UPDATE lectures SET status = 'pending', error_message = 'a disk' WHERE id = $1", id).await;

    let ended = env.probe(id, Some(8.5)).await;
    assert_eq!(ended.state, "completed", "{ended:?}");
    let result = ended.result.unwrap();
    assert_eq!(
        (&result["codec"], &result["channels"], &result["duration_seconds"]),
        (&json!("aac"), &json!(2), &json!(7))
    );
    let row = env.row(id).await.unwrap();
    assert_eq!(
        (row.duration_seconds, row.status, row.error_message),
        (Some(7), LectureStatus::Downloading, None)
    );
    assert_eq!(env.live(id).await, [("transcribe".to_owned(), json!({ "lecture_id": id }))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_recording_is_refused_and_downloaded_again_on_retry() {
    let env = TestEnv::with(|settings| settings.keep_failed_audio_days = 7).await;
    let dir = env.directory.path();
    let slides = dir.join("slides.mp4");
    recordings::ffmpeg(
        &["-f", "lavfi", "-i", "color=black:size=64x64:rate=5:duration=3", "-c:v", "mpeg4"],
        &slides,
    );
    let page = dir.join("page");
    std::fs::write(&page, "<html>".repeat(1000)).unwrap();
    let whole = recordings::audio(dir, 10);
    let cases = [
        (recordings::with_hole(dir), None, "incomplete"),
        (recordings::truncated(dir, 60), None, "incomplete"),
        (whole, Some(12.5), "incomplete"),
        (slides, None, "no-audio"),
        (page, None, "not-media"),
    ];
    for (file, announced, class) in cases {
        let id = env.downloaded(&file).await;
        env.execute("UPDATE lectures SET duration_seconds = 3600 WHERE id = $1", id).await;
        let ended = env.probe(id, announced).await;
        assert_eq!((ended.state.as_str(), ended.class.as_deref()), ("discarded", Some(class)), "{file:?}");
        let row = env.row(id).await.unwrap();
        assert_eq!(row.status, LectureStatus::Failed);
        let message = row.error_message.clone().unwrap();
        assert!(!message.contains('/'), "{message}");
        assert!(class != "incomplete" || message.contains("retry"), "{message}");
        assert_eq!((row.audio_storage_key.clone(), row.duration_seconds), (None, None));
        assert!(env.live(id).await.is_empty());

        let mut tx = env.ctx.pool.begin().await.unwrap();
        lecture::restart::restart(&mut tx, &row, &env.ctx.settings).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(env.live(id).await[0].0, "submit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_percent_and_two_seconds_are_tolerated() {
    let env = TestEnv::open().await;
    let file = recordings::audio(env.directory.path(), 10);
    for (announced, whole) in [(None, true), (Some(0.0), true), (Some(11.9), true), (Some(12.2), false)] {
        let id = env.downloaded(&file).await;
        assert_eq!(env.probe(id, announced).await.state == "completed", whole, "{announced:?}");
    }
}

/// A microphone that was off gives silence, or noise at -70 dB. Syllables at -50 dB are still intelligible.
#[tokio::test(flavor = "multi_thread")]
async fn silence_is_refused_and_a_quiet_voice_is_not() {
    let env = TestEnv::open().await;
    let cases = [
        ("nothing", "0", Some("silent")),
        ("noise", "0.0003*(2*random(0)-1)", Some("silent")),
        ("a voice", "0.0032*sin(2*PI*220*t)*gt(sin(2*PI*4*t)\\,0)", None),
    ];
    for (name, sound, class) in cases {
        let source = format!("aevalsrc={sound}:sample_rate=44100:duration=5");
        let file = env.directory.path().join("sound.m4a");
        recordings::ffmpeg(&["-f", "lavfi", "-i", &source, "-c:a", "aac"], &file);
        let id = env.downloaded(&file).await;
        let ended = env.probe(id, None).await;
        assert_eq!(ended.class.as_deref(), class, "{name}: {ended:?}");
        assert_eq!(ended.state, if class.is_none() { "completed" } else { "discarded" }, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_audio_is_reported_as_missing() {
    let env = TestEnv::open().await;
    let id = env.lecture("downloading").await;
    let ended = env.probe(id, None).await;
    assert_eq!((ended.state.as_str(), ended.class.as_deref()), ("discarded", Some("audio-missing")));
    let row = env.row(id).await.unwrap();
    assert!(row.status == LectureStatus::Failed && row.error_message.unwrap().contains("retry"));
}

/// The same attempt twice, as after a crash before the commit, and a lecture deleted in between.
#[tokio::test(flavor = "multi_thread")]
async fn probing_twice_is_probing_once_and_a_deleted_lecture_ends_it() {
    let env = TestEnv::open().await;
    let id = env.downloaded(&recordings::audio(env.directory.path(), 3)).await;
    let probe = Probe { lecture_id: id, announced_seconds: None };
    let attempt = Attempt::detached(Some(id));
    let mut outputs = Vec::new();
    for _ in 0..2 {
        let mut tx = env.ctx.pool.begin().await.unwrap();
        probe.begin(&env.ctx, &attempt, &mut tx).await.unwrap();
        tx.commit().await.unwrap();
        outputs.push(probe.run(&env.ctx, &attempt).await.unwrap());
        let mut tx = env.ctx.pool.begin().await.unwrap();
        probe.commit(&env.ctx, &attempt, &outputs[0], &mut tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(env.row(id).await.unwrap().duration_seconds, Some(3));
    }
    assert_eq!(outputs[0], outputs[1]);
    assert!(std::fs::read_dir(&env.ctx.scratch).unwrap().next().is_none());

    env.execute("DELETE FROM lectures WHERE id = $1", id).await;
    let mut tx = env.ctx.pool.begin().await.unwrap();
    let commit = probe.commit(&env.ctx, &attempt, &outputs[0], &mut tx).await.unwrap();
    assert!(format!("{commit:?}").contains("the lecture was deleted"));
}
