//! `download` with real media, a real ffmpeg, real storage, and an upstream that misbehaves.

use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bedel_jobs::download::{Audio, Download};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::UPLOADED;
use bedel_jobs::probe::Probe;
use bedel_queue::{Attempt, Commit, End, Job, JobError};
use bedel_storage::keys;
use bedel_upstream::Reply;
use bytes::Bytes;
use uuid::Uuid;

use crate::environment::{UpstreamEnv, decision, shown};
use crate::recordings;

/// Three seconds of a tone and a picture, as AAC in MPEG-4.
static LECTURE: LazyLock<Vec<u8>> = LazyLock::new(|| made("lecture.mp4", &["-c:a", "aac", "-shortest"]));
/// The same sound as MP3.
static PODCAST: LazyLock<Vec<u8>> = LazyLock::new(|| made("podcast.mp3", &["-vn"]));
/// The picture alone.
static SLIDES: LazyLock<Vec<u8>> = LazyLock::new(|| made("slides.mp4", &["-an"]));

fn made(name: &str, output: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(name);
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=3"])
        .args(["-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=3"])
        .args(output)
        .arg(&file)
        .status();
    assert!(status.expect("ffmpeg runs").success());
    std::fs::read(file).expect("the file")
}

impl UpstreamEnv {
    pub async fn download(&self, lecture_id: Uuid, attempt: &Attempt) -> Result<Commit, JobError> {
        let job = job(lecture_id);
        let mut tx = self.ctx.pool.begin().await?;
        job.begin(&self.ctx, attempt, &mut tx).await?;
        tx.commit().await?;
        let output = job.run(&self.ctx, attempt).await?;
        self.commit_download(&output, lecture_id, attempt).await
    }

    async fn commit_download(
        &self,
        output: &Option<Audio>,
        lecture_id: Uuid,
        attempt: &Attempt,
    ) -> Result<Commit, JobError> {
        let mut tx = self.ctx.pool.begin().await?;
        let commit = job(lecture_id).commit(&self.ctx, attempt, output, &mut tx).await?;
        tx.commit().await?;
        Ok(commit)
    }

    async fn put(&self, key: &str, bytes: &'static [u8]) {
        self.ctx.storage.put_bytes(key, Bytes::from_static(bytes)).await.expect("stored");
    }
}

fn job(lecture_id: Uuid) -> Download {
    Download { lecture_id, announced_seconds: None }
}

pub fn attempt(lecture_id: Uuid) -> Attempt {
    Attempt::detached(Some(lecture_id))
}

#[tokio::test]
async fn a_recording_becomes_stored_audio_once_or_twice() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/lecture.mp4?token=1")).await;
    env.execute(
        "UPDATE lectures SET error_message = 'an earlier failure', duration_seconds = 99 WHERE id = $1",
        id,
    )
    .await;
    env.upstream.on("/lecture.mp4", [Reply::media(LECTURE.clone())]);
    for run in 0..2 {
        let commit = shown(&env.download(id, &attempt(id)).await.expect("a commit"));
        let row = env.row(id).await.expect("the lecture");
        assert_eq!((row.status, row.error_message), (LectureStatus::Downloading, None), "run {run}");
        assert_eq!((row.audio_storage_key, row.duration_seconds), (Some(keys::audio(id)), None));
        assert_eq!(env.keys().await, [keys::audio(id)], "nothing temporary stays");
        assert!(env.scratch().is_empty(), "{:?}", env.scratch());
        for part in ["kind: \"probe\"", "announced_seconds", &bedel_jobs::pipeline::unique_key(id)] {
            assert!(commit.contains(part), "{part} in {commit}");
        }
        assert_eq!(commit.matches("NewJob").count(), 1);
    }
    let audio = env.ctx.storage.local_path(&keys::audio(id)).expect("local storage");
    let report = env.ctx.media.probe(&audio).await.expect("a report");
    assert_eq!((report.audio.len(), report.audio[0].codec.as_str(), report.has_video), (1, "aac", false));
    let seconds = env.ctx.media.measure_sound(&audio).await.expect("seconds").seconds;
    assert!((2.9..3.2).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn the_announced_length_and_another_codec() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/podcast")).await;
    env.upstream.on("/podcast", [Reply::new(200, "audio/mpeg", PODCAST.clone())]);
    let output = job(id).run(&env.ctx, &attempt(id)).await.expect("an output");
    let announced = output.and_then(|audio| audio.announced_seconds).expect("a length");
    assert!((2.9..3.2).contains(&announced), "{announced}");
    let audio = env.ctx.storage.local_path(&keys::audio(id)).expect("local storage");
    assert_eq!(env.ctx.media.probe(&audio).await.expect("a report").audio[0].codec, "aac");
}

/// The video may start before the sound and end after it; only the sound must be complete.
#[tokio::test]
async fn only_the_length_of_the_sound_is_checked() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = |name: &str, picture_seconds: u32, offset: &str, sound_seconds: u32| {
        let picture = format!("testsrc=size=64x64:rate=5:duration={picture_seconds}");
        let sound = recordings::tone(sound_seconds);
        let args = ["-f", "lavfi", "-i", &picture, "-itsoffset", offset, "-f", "lavfi", "-i", &sound];
        let args = [&args[..], &["-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart"]].concat();
        std::fs::read(recordings::ffmpeg(&args, &directory.path().join(name))).expect("the file")
    };
    let whole = made("truncated.mp4", 30, "0", 30);
    let cases = [
        ("a longer picture", made("longer.mp4", 8, "0", 3), None),
        ("a later sound", made("later.mp4", 8, "5", 3), None),
        ("half of it", whole[..whole.len() / 2].to_vec(), Some("incomplete")),
    ];
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/lecture.mp4")).await;
    for (name, recording, class) in cases {
        env.upstream.on("/lecture.mp4", [Reply::media(recording)]);
        let output = job(id).run(&env.ctx, &attempt(id)).await.expect("an output");
        let announced_seconds = output.and_then(|audio| audio.announced_seconds);
        assert!(announced_seconds.is_some(), "{name}");
        let probed = Probe { lecture_id: id, announced_seconds }.run(&env.ctx, &attempt(id)).await;
        assert_eq!(probed.as_ref().err().map(JobError::class), class, "{name}: {probed:?}");
    }
}

#[tokio::test]
async fn a_useless_stream_url_is_forgotten() {
    let env = UpstreamEnv::new().await;
    let known = env.upstream.url("/x?token=1");
    let cases = [
        ("access-denied", known.as_str(), ""),
        ("not-found", &known, ""),
        ("upstream-refused", &known, ""),
        ("network", &known, &known),
        ("access-denied", UPLOADED, UPLOADED),
    ];
    for (class, before, after) in cases {
        let id = env.lecture(before).await;
        let end = End { subject: Some(id), cancelled: false, class: class.into(), message: "Gone.".into() };
        let mut tx = env.ctx.pool.begin().await.expect("a transaction");
        Download::ended(&env.ctx, &end, &mut tx).await.expect("the hook");
        tx.commit().await.expect("a commit");
        let row = env.row(id).await.expect("the lecture");
        assert_eq!((row.status, row.stream_url.as_str()), (LectureStatus::Failed, after), "{class}");
        assert_eq!(row.error_message.as_deref(), Some("Gone."));
    }
}

#[tokio::test]
async fn begin_shows_the_download_and_keeps_the_last_failure() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/x")).await;
    let begin = async || {
        let mut tx = env.ctx.pool.begin().await.expect("a transaction");
        job(id).begin(&env.ctx, &attempt(id), &mut tx).await.expect("begun");
        tx.commit().await.expect("a commit");
        env.status(id).await
    };
    env.execute("UPDATE lectures SET error_message = 'why' WHERE id = $1", id).await;
    assert_eq!(begin().await, (LectureStatus::Downloading, Some("why".into())));
    env.execute("UPDATE lectures SET status = 'completed' WHERE id = $1", id).await;
    assert_eq!(begin().await.0, LectureStatus::Completed);
}

#[tokio::test]
async fn a_broken_transfer_is_retried() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/lecture.mp4")).await;
    let whole = Reply::media(LECTURE.clone());
    let cut = whole.clone().cut_half_way();
    env.upstream.on("/lecture.mp4", [cut, whole.clone().stall_at(100), whole]);
    for outcome in [("truncated", "retry"), ("stalled", "retry")] {
        let error = env.download(id, &attempt(id)).await.expect_err("broken");
        assert_eq!(decision(&error), outcome);
        assert!(env.scratch().is_empty() && env.keys().await.is_empty(), "nothing stays of it");
    }
    env.download(id, &attempt(id)).await.expect("the third attempt");
    assert_eq!(env.keys().await, [keys::audio(id)]);
}

#[tokio::test]
async fn a_body_that_is_no_recording_ends_the_job() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/x?token=secret")).await;
    let mut broken = LECTURE[..200].to_vec();
    broken.resize(4000, 0);
    let table = [
        (Reply::login_page(), ("login-required", "fatal")),
        (Reply::redirect("/Panopto/Pages/Auth/Login.aspx?a=secret"), ("login-required", "fatal")),
        (Reply::html(403, "<html>no"), ("login-required", "fatal")),
        (Reply::media("#EXTM3U\n#EXT-X-ENDLIST\n"), ("playlist-refused", "fatal")),
        (Reply::media(SLIDES.clone()), ("no-audio", "fatal")),
        (Reply::media(broken), ("not-media", "fatal")),
        (Reply::too_many_requests("9"), ("rate-limited", "wait")),
        (Reply::html(500, "<html>no"), ("upstream-error", "retry")),
    ];
    for (reply, outcome) in table {
        env.upstream.on("/x", [reply]);
        let error = env.download(id, &attempt(id)).await.expect_err("an outcome");
        assert_eq!(decision(&error), outcome, "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(env.scratch().is_empty() && env.keys().await.is_empty());
    }
}

#[tokio::test]
async fn a_missing_recording_is_tried_three_times() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/gone")).await;
    // Claims that a crash or a release ended are no tries.
    for (errors, outcome) in [(0, "retry"), (1, "retry"), (2, "fatal"), (3, "fatal")] {
        let mut attempt = attempt(id);
        (attempt.number, attempt.errors) = (9, errors);
        let error = env.download(id, &attempt).await.expect_err("nothing there");
        assert_eq!(decision(&error), ("not-found", outcome), "after {errors} failures");
    }
}

#[tokio::test]
async fn an_upload_is_taken_from_storage_and_stays_there() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(UPLOADED).await;
    let error = env.download(id, &attempt(id)).await.expect_err("nothing was uploaded");
    assert_eq!(decision(&error), ("upload-missing", "fatal"));

    let upload = format!("audio_tmp/{id}/upload");
    env.put(&upload, b"<!DOCTYPE html><title>Sign in</title>").await;
    let error = env.download(id, &attempt(id)).await.expect_err("a page was uploaded");
    assert!(error.is_fatal(), "{error}");

    env.put(&upload, &LECTURE).await;
    for _ in 0..2 {
        env.download(id, &attempt(id)).await.expect("a commit");
        assert_eq!(env.keys().await, [keys::audio(id), upload.clone()]);
    }
    assert!(env.upstream.requests().is_empty());
}

/// Two attempts of one job: the older one was rescued but still runs. Its last step, the rename, finds no
/// file.
#[tokio::test]
async fn an_older_lease_cannot_put_its_file_in_place() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/lecture.mp4")).await;
    let other = env.lecture("").await;
    let older = keys::audio_temp(id, Uuid::new_v4());
    let upload = format!("audio_tmp/{id}/upload");
    let of_other = keys::audio_temp(other, Uuid::new_v4());
    for key in [&older, &upload, &of_other] {
        env.put(key, b"older").await;
    }
    // A partial write of the older lease, as local storage leaves it.
    std::fs::write(env.storage_dir.join(format!("{older}#1")), "half").expect("a staged write");

    env.upstream.on("/lecture.mp4", [Reply::media(LECTURE.clone())]);
    env.download(id, &attempt(id)).await.expect("a commit");
    let mut left = vec![keys::audio(id), upload, of_other];
    left.sort();
    assert_eq!(env.keys().await, left);
    assert!(env.ctx.storage.rename(&older, &keys::audio(id)).await.is_err(), "the zombie's late rename");
    let audio = env.ctx.storage.local_path(&keys::audio(id)).expect("local storage");
    assert!(env.ctx.media.probe(&audio).await.is_ok(), "the new lease's file is in place");
}

#[tokio::test]
async fn a_deleted_lecture_ends_its_job_and_its_file_is_collected() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.url("/lecture.mp4")).await;
    env.upstream.on("/lecture.mp4", [Reply::media(LECTURE.clone())]);
    let output = job(id).run(&env.ctx, &attempt(id)).await.expect("an output");
    env.execute("DELETE FROM lectures WHERE id = $1", id).await;
    let late = shown(&env.commit_download(&output, id, &attempt(id)).await.expect("a commit"));
    assert!(late.contains("cancelled: Some(") && late.contains("cleanup-orphans"), "collected: {late}");
    let early = shown(&env.download(id, &attempt(id)).await.expect("a commit"));
    assert!(early.contains("cancelled: Some("), "{early}");
    assert_eq!(env.upstream.requests().len(), 1, "nothing is fetched for a lecture that is gone");
}

/// Cancel, release and shutdown drop the attempt in the middle.
#[tokio::test]
async fn a_dropped_attempt_leaves_no_scratch() {
    let env = UpstreamEnv::with(|settings| settings.fetch.stall_timeout = Duration::from_secs(60)).await;
    let id = env.lecture(&env.upstream.url("/lecture.mp4")).await;
    env.upstream.on("/lecture.mp4", [Reply::media(LECTURE.clone()).stall_at(1000)]);
    let attempt = attempt(id);
    let lease = attempt.lease.to_string();
    let job = job(id);
    let begun = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        let place = env.ctx.downloads.join(id.to_string()).join(&lease);
        while !place.join("source").exists() {
            assert!(Instant::now() < deadline, "the download never began");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        result = job.run(&env.ctx, &attempt) => panic!("the upstream has stalled: {result:?}"),
        () = begun => (),
    }
    assert!(env.scratch().is_empty(), "{:?}", env.scratch());
}
