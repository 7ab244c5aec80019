//! Lectures that fail, and their retry.

use std::sync::atomic::Ordering;

use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::retry::{Retried, retry};
use bedel_storage::keys;
use bedel_upstream::Reply;

use super::harness::{Harness, LECTURE, RECORDING, STAGES, USER, eventually};
use super::snapshot::Snapshot;
use crate::recordings;

/// The stages and the clean-up that follows a failure.
const KINDS: [&str; 5] = ["submit", "download", "probe", "transcribe", "cleanup-orphans"];

async fn until_failed(harness: &Harness) -> String {
    harness.start("submit").await;
    let worker = harness.worker(super::harness::options(&KINDS), harness.ctx.clone());
    harness.until_state("cleanup-orphans", "completed").await;
    worker.stop().await;
    let lecture = harness.lecture().await.expect("the lecture");
    assert_eq!(lecture.status, LectureStatus::Failed);
    assert!(harness.scratch().is_empty());
    lecture.error_message.expect("a message")
}

/// The kind that a retry starts with.
async fn retried(harness: &Harness) -> String {
    let mut tx = harness.pool().begin().await.expect("a transaction");
    let retried = retry(&mut tx, &harness.ctx.settings, Some(USER), LECTURE).await.expect("retried");
    tx.commit().await.expect("a commit");
    let Retried::Due(job) = retried else { panic!("{retried:?}") };
    sqlx::query_scalar("SELECT kind FROM queue.jobs WHERE id = $1")
        .bind(job)
        .fetch_one(harness.pool())
        .await
        .expect("the job")
}

async fn completes(harness: &Harness) {
    let worker = harness.worker(super::harness::options(&STAGES), harness.ctx.clone());
    eventually("completed after all", async || {
        harness.lecture().await.is_some_and(|lecture| lecture.status == LectureStatus::Completed)
    })
    .await;
    worker.stop().await;
    let undisturbed = Harness::new().await;
    undisturbed.start("submit").await;
    undisturbed.work(&STAGES, "transcribe").await;
    assert_eq!(
        Snapshot::take(harness).await.rows_of(LECTURE),
        Snapshot::take(&undisturbed).await.rows_of(LECTURE)
    );
    assert_eq!(harness.files_of_lecture(), undisturbed.files_of_lecture());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_audio_is_removed_and_a_retry_downloads_it_again() {
    let harness = Harness::new().await;
    let directory = tempfile::tempdir().expect("a directory");
    let half = std::fs::read(recordings::truncated(directory.path(), 60)).expect("half a recording");
    harness.upstream.on("/lecture.mp4", [Reply::media(half)]);
    let message = until_failed(&harness).await;
    assert!(message.contains("incomplete") && message.contains("retry"), "{message}");
    let lecture = harness.lecture().await.expect("the lecture");
    assert_eq!((lecture.audio_storage_key, lecture.duration_seconds), (None, None));
    assert_eq!(harness.files_of_lecture(), Vec::<String>::new(), "the audio is cleaned up");

    harness.upstream.on("/lecture.mp4", [Reply::media(RECORDING.clone())]);
    assert_eq!(retried(&harness).await, "submit");
    completes(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_transcription_is_retried_with_or_without_kept_audio() {
    for (days, files, stage) in [(0, Vec::new(), "submit"), (3, vec![keys::audio(LECTURE)], "transcribe")] {
        let harness = Harness::with(|settings| settings.keep_failed_audio_days = days).await;
        harness.engine.deaf.store(true, Ordering::SeqCst);
        let message = until_failed(&harness).await;
        assert!(message.contains("no speech was found"), "{message}");
        assert_eq!(harness.files_of_lecture(), files);
        let kept = harness.lecture().await.and_then(|lecture| lecture.audio_storage_key);
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), files);

        harness.engine.deaf.store(false, Ordering::SeqCst);
        assert_eq!(retried(&harness).await, stage);
        completes(&harness).await;
    }
}
