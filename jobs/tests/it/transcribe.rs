//! `transcribe`: real speech, made by ffmpeg's flite voice, read back by the real model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bedel_jobs::environment::Context;
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::restart::restart;
use bedel_jobs::transcribe::{Transcribe, Transcribed};
use bedel_queue::{Attempt, Commit, End, Failure, Job, JobError};
use bedel_speech::Engine;
use bedel_storage::keys;
use uuid::Uuid;

use crate::environment::{UpstreamEnv, create, decision, shown};

struct TranscribeEnv {
    base: UpstreamEnv,
    ctx: Context,
}

impl TranscribeEnv {
    async fn new(engine: Option<Arc<dyn Engine>>) -> Self {
        let base = UpstreamEnv::new().await;
        let (pool, settings) = (base.ctx.pool.clone(), base.ctx.settings.clone());
        let directory = base.storage_dir.parent().expect("a directory");
        let ctx = Arc::new(create(pool, directory, settings, engine));
        Self { base, ctx }
    }

    /// A lecture as after `probe`, with this audio.
    async fn lecture(&self, audio: &Path) -> Uuid {
        let id = self.base.lecture("https://cdn.example.invalid/lecture.mp4").await;
        self.ctx.storage.put_file(&keys::audio(id), audio).await.expect("stored audio");
        self.base
            .execute(
                "-- transcribe::lecture
                 UPDATE lectures SET audio_storage_key = 'audio/' || id || '.m4a', duration_seconds = 1,
                        status = 'downloading', error_message = 'an earlier attempt' WHERE id = $1",
                id,
            )
            .await;
        id
    }

    async fn run(&self, id: Uuid) -> Result<Option<Transcribed>, JobError> {
        Transcribe::new(id).run(&self.ctx, &Attempt::detached(Some(id))).await
    }

    async fn commit(&self, id: Uuid, output: Option<Transcribed>) -> Commit {
        let mut tx = self.ctx.pool.begin().await.expect("a transaction");
        let attempt = Attempt::detached(Some(id));
        let commit = Transcribe::new(id).commit(&self.ctx, &attempt, &output, &mut tx).await;
        tx.commit().await.expect("a commit");
        commit.expect("a commit")
    }
}

/// Sound made by ffmpeg from a filter's description.
fn sound(directory: &Path, filter: &str, extra: &[&str]) -> PathBuf {
    let path = directory.join("made.m4a");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", filter])
        .args(extra)
        .args(["-ac", "1", "-c:a", "aac"])
        .arg(&path)
        .status()
        .expect("ffmpeg");
    assert!(made.success(), "{filter}");
    path
}

#[tokio::test]
async fn a_worker_without_an_engine_leaves_the_job_for_others() {
    let env = TranscribeEnv::new(None).await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=1", &[])).await;
    let error = env.run(id).await.unwrap_err();
    assert_eq!(decision(&error), ("engine-missing", "wait"));
    assert!(error.to_string().contains("BEDEL_ENGINE"), "{error}");
}

#[tokio::test]
async fn a_deleted_lecture_ends_the_job_as_cancelled() {
    let env = TranscribeEnv::new(None).await;
    let id = Uuid::new_v4();
    assert_eq!(env.run(id).await.expect("no work"), None);
    let commit = shown(&env.commit(id, None).await);
    assert!(commit.contains("the lecture was deleted") && commit.contains("cleanup-orphans"), "{commit}");
}

#[tokio::test]
async fn a_failing_attempt_is_noted_and_the_end_of_the_job_fails_the_lecture() {
    let env = TranscribeEnv::new(None).await;
    let id = env.base.lecture("").await;
    let (class, message) = (String::from("engine"), String::from("the engine stumbled"));
    let failure = Failure { subject: Some(id), class: class.clone(), message: message.clone() };
    let end = End { subject: Some(id), cancelled: false, class, message: message.clone() };

    let mut connection = env.ctx.pool.acquire().await.expect("a connection");
    Transcribe::attempt_failed(&env.ctx, &failure, &mut connection).await.expect("noted");
    assert_eq!(env.base.status(id).await, (LectureStatus::Pending, Some(message.clone())));
    let jobs = Transcribe::ended(&env.ctx, &end, &mut connection).await.expect("failed");
    assert_eq!(jobs.len(), 1, "the clean-up");
    assert_eq!(env.base.status(id).await, (LectureStatus::Failed, Some(message)));
}

/// Even if the audio of failed lectures is kept: missing or useless audio is not.
#[tokio::test]
async fn a_retry_after_missing_audio_begins_with_the_recording() {
    let env = UpstreamEnv::with(|settings| settings.keep_failed_audio_days = 7).await;
    for (class, kept) in [
        ("audio-missing", false),
        ("not-media", false),
        ("no-audio", false),
        ("incomplete", false),
        ("engine", true),
    ] {
        let id = env.lecture("https://cdn.example.invalid/lecture.mp4").await;
        env.execute(
            "-- transcribe::probed
                 UPDATE lectures SET audio_storage_key = 'audio/' || id || '.m4a', duration_seconds = 60,
                        status = 'downloading' WHERE id = $1",
            id,
        )
        .await;
        let end = End { subject: Some(id), cancelled: false, class: class.into(), message: "Why.".into() };
        let mut tx = env.ctx.pool.begin().await.expect("a transaction");
        Transcribe::ended(&env.ctx, &end, &mut tx).await.expect("failed");
        tx.commit().await.expect("a commit");
        let row = env.row(id).await.expect("the lecture");
        let expected = if kept { (Some(keys::audio(id)), Some(60)) } else { (None, None) };
        assert_eq!((row.audio_storage_key.clone(), row.duration_seconds), expected, "{class}");

        let mut tx = env.ctx.pool.begin().await.expect("a transaction");
        let job = restart(&mut tx, &row, &env.ctx.settings).await.expect("restarted").id;
        tx.commit().await.expect("a commit");
        let kind: String = sqlx::query_scalar("SELECT kind FROM queue.jobs WHERE id = $1")
            .bind(job)
            .fetch_one(&env.ctx.pool)
            .await
            .expect("the job");
        assert_eq!(kind, if kept { "transcribe" } else { "submit" }, "{class}");
    }
}

mod again;
#[cfg(feature = "whisper")]
mod answers;
mod conserved;
#[cfg(feature = "whisper")]
mod hidden_voice;
mod options;
mod resumed;
#[cfg(feature = "whisper")]
mod with_the_model;
