//! Faulty published recordings under the real queue: the lecture's final state, its message to the student,
//! and the bytes fetched.

use bedel_jobs::lecture::LectureStatus;
use bedel_storage::keys;
use bedel_upstream::hls::{Hls, HlsOptions};
use bedel_upstream::media::identify_seconds;
use bedel_upstream::{Reply, Resource, delivery_info};

use super::harness::{Harness, LECTURE, RECORDING, STAGES, eventually, options};
use crate::recordings;

fn stream() -> Hls {
    Hls::make(tempfile::tempdir().expect("a directory").path(), &HlsOptions::default())
}

/// A finished recording of this length whose stream is at `path`.
fn publish(harness: &Harness, path: &str, seconds: f64) {
    let described = delivery_info::ready(&harness.upstream.url(path), "Lecture 1", seconds);
    harness.upstream.on(delivery_info::PATH, [described]);
}

/// The error class that ended the lecture, and its message to the student.
async fn failed(harness: &Harness) -> (String, String) {
    harness.start("submit").await;
    let worker = harness.worker(options(&STAGES), harness.ctx.clone());
    eventually("failed", async || {
        harness.lecture().await.is_some_and(|lecture| lecture.status == LectureStatus::Failed)
    })
    .await;
    worker.stop().await;
    let lecture = harness.lecture().await.expect("the lecture");
    assert_eq!((&lecture.audio_storage_key, &lecture.transcript_storage_key), (&None, &None));
    let class = sqlx::query_scalar("SELECT class FROM queue.failed_attempts ORDER BY failed_at DESC LIMIT 1");
    let class = class.fetch_one(harness.pool()).await.expect("a failure");
    (class, lecture.error_message.expect("a message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_recording_fails_with_a_remedy() {
    let hls = stream();
    let directory = tempfile::tempdir().expect("a directory");
    let silence = ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "3", "-c:a", "aac"];
    let silence = std::fs::read(recordings::ffmpeg(&silence, &directory.path().join("silence.mp4")));
    let silence = Reply::media(silence.expect("the file"));
    let playlist = || hls.playlist().clone();
    // A playlist has some hundred bytes; no segment is fetched.
    let table = [
        (Reply::login_page(), 3.0, "login-required", "Sign in to Panopto and submit again", 5_000),
        (
            Reply::redirect("/Panopto/Pages/Auth/Login.aspx"),
            3.0,
            "login-required",
            "Sign in to Panopto",
            5_000,
        ),
        (Reply::new(403, "application/xml", "<Error>"), 3.0, "access-denied", "send it again", 5_000),
        (Reply::media("<rss version=\"2.0\"><channel>"), 3.0, "not-media", "one of its recordings", 5_000),
        (playlist().with_gap(1).reply(), 12.0, "incomplete", "use retry once it is whole", 5_000),
        (playlist().with_uri(1, "file:///etc/hostname").reply(), 12.0, "url-refused", "only https", 5_000),
        (playlist().with_key("data:,0123456789abcdef").reply(), 12.0, "url-refused", "only https", 5_000),
        (silence, 3.0, "silent", "silent from its beginning to its end", 100_000),
        (Reply::media(RECORDING.clone()), 60.0, "incomplete", "should be 60 seconds long", 1_000_000),
    ];
    for (reply, seconds, class, words, bytes) in table {
        let harness = Harness::new().await;
        publish(&harness, "/x.hls/index.m3u8", seconds);
        harness.upstream.on("/x.hls/index.m3u8", [reply]);
        let (ended, message) = failed(&harness).await;
        assert_eq!(ended, class, "{message}");
        assert!(message.contains(words), "{class}: {message}");
        assert!(
            harness.upstream.total_bytes_sent() < bytes,
            "{class}: {} bytes",
            harness.upstream.total_bytes_sent()
        );
        assert!(harness.scratch().is_empty(), "{class}: {:?}", harness.scratch());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lecture_with_late_segments_is_complete() {
    let harness = Harness::new().await;
    let hls = stream();
    let url = harness.upstream.serve_hls("/x.hls", &hls);
    publish(&harness, url.trim_start_matches(&harness.upstream.url("")), hls.seconds());
    let (name, bytes) = &hls.files()[1];
    let path = format!("/x.hls/{name}");
    // An attempt sends four requests.
    harness.upstream.serve(&path, Resource::new(bytes.clone()).first(4, Reply::html(404, "<html>not yet")));
    harness.start("submit").await;
    let worker = harness.worker(options(&STAGES), harness.ctx.clone());
    harness.until_state("transcribe", "completed").await;
    worker.stop().await;
    let heard =
        identify_seconds(&harness.ctx.storage.local_path(&keys::audio(LECTURE)).expect("local storage"));
    assert_eq!(heard, (0..12).map(Some).collect::<Vec<_>>());
    let (errors, checkpoint): (i32, serde_json::Value) =
        sqlx::query_as("SELECT errors, checkpoint FROM queue.jobs WHERE kind = 'download'")
            .fetch_one(harness.pool())
            .await
            .expect("the job");
    assert_eq!(errors, 1);
    assert_eq!(checkpoint, serde_json::json!({ "source": "segments", "finished": "0-2", "of": 3 }));
    assert_eq!(harness.upstream.requests_to(&path).len(), 5);
    let others = hls.files().iter().filter(|(other, _)| other != name);
    let others: Vec<usize> =
        others.map(|(name, _)| harness.upstream.requests_to(&format!("/x.hls/{name}")).len()).collect();
    assert_eq!(others, [1, 1], "what was there is not fetched again");
    assert!(harness.downloads().is_empty(), "{:?}", harness.downloads());
}
