//! Lectures that cannot be finished, and their second chance.

use std::sync::atomic::Ordering;

use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::retry::{Retried, retry};
use bedel_storage::keys;
use bedel_upstream::Reply;

use super::STAGES;
use super::left::Left;
use super::line::{LECTURE, Line, RECORDING, USER, eventually};
use crate::recordings;

/// The stages and the clean-up that follows a failure.
const KINDS: [&str; 5] = ["submit", "download", "probe", "transcribe", "cleanup-orphans"];

async fn until_failed(line: &Line) -> String {
    line.start("submit").await;
    let worker = line.worker(super::line::options(&KINDS), line.ctx.clone());
    line.until_state("cleanup-orphans", "completed").await;
    worker.stop().await;
    let lecture = line.lecture().await.expect("the lecture");
    assert_eq!(lecture.status, LectureStatus::Failed);
    assert!(line.scratch().is_empty());
    lecture.error_message.expect("a message")
}

/// The kind that goes on.
async fn retried(line: &Line) -> String {
    let mut tx = line.pool().begin().await.expect("a transaction");
    let retried = retry(&mut tx, &line.ctx.settings, Some(USER), LECTURE).await.expect("retried");
    tx.commit().await.expect("a commit");
    let Retried::Due(job) = retried else { panic!("{retried:?}") };
    sqlx::query_scalar("SELECT kind FROM queue.jobs WHERE id = $1")
        .bind(job)
        .fetch_one(line.pool())
        .await
        .expect("the job")
}

async fn completes(line: &Line) {
    let worker = line.worker(super::line::options(&STAGES), line.ctx.clone());
    eventually("completed after all", async || {
        line.lecture().await.is_some_and(|lecture| lecture.status == LectureStatus::Completed)
    })
    .await;
    worker.stop().await;
    let undisturbed = Line::new().await;
    undisturbed.start("submit").await;
    undisturbed.work(&STAGES, "transcribe").await;
    assert_eq!(Left::of(line).await.rows_of(LECTURE), Left::of(&undisturbed).await.rows_of(LECTURE));
    assert_eq!(line.files_of_lecture(), undisturbed.files_of_lecture());
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_found_wanting_goes_with_its_file_and_a_retry_downloads_it_again() {
    let line = Line::new().await;
    let directory = tempfile::tempdir().expect("a directory");
    let half = std::fs::read(recordings::truncated(directory.path(), 60)).expect("half a recording");
    line.upstream.on("/lecture.mp4", [Reply::media(half)]);
    let message = until_failed(&line).await;
    assert!(message.contains("incomplete") && message.contains("retry"), "{message}");
    let lecture = line.lecture().await.expect("the lecture");
    assert_eq!((lecture.audio_storage_key, lecture.duration_seconds), (None, None));
    assert_eq!(line.files_of_lecture(), Vec::<String>::new(), "the audio is cleaned up");

    line.upstream.on("/lecture.mp4", [Reply::media(RECORDING.clone())]);
    assert_eq!(retried(&line).await, "submit");
    completes(&line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_transcription_is_retried_with_the_audio_that_was_kept_or_without() {
    for (days, files, stage) in [(0, Vec::new(), "submit"), (3, vec![keys::audio(LECTURE)], "transcribe")] {
        let line = Line::with(|settings| settings.keep_failed_audio_days = days).await;
        line.engine.deaf.store(true, Ordering::SeqCst);
        let message = until_failed(&line).await;
        assert!(message.contains("no speech was found"), "{message}");
        assert_eq!(line.files_of_lecture(), files);
        let kept = line.lecture().await.and_then(|lecture| lecture.audio_storage_key);
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), files);

        line.engine.deaf.store(false, Ordering::SeqCst);
        assert_eq!(retried(&line).await, stage);
        completes(&line).await;
    }
}
