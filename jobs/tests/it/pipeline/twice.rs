//! Every job run twice.

use super::harness::{CRON, Harness, LECTURE, STAGES, eventually};
use super::snapshot::Snapshot;

/// Makes a completed job due again, as if its completion and its successor had been lost.
async fn undo(harness: &Harness, kind: &str, next: Option<&str>) {
    if let Some(next) = next {
        sqlx::query("DELETE FROM queue.jobs WHERE kind = $1")
            .bind(next)
            .execute(harness.pool())
            .await
            .expect("the successor is gone");
    }
    sqlx::query(
        "UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL, finalized_at = NULL, result = NULL
         WHERE kind = $1",
    )
    .bind(kind)
    .execute(harness.pool())
    .await
    .expect("due again");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_run_twice_leaves_the_same_as_run_once() {
    let harness = Harness::new().await;
    for (number, kind) in STAGES.iter().chain(&CRON).enumerate() {
        harness.start(kind).await;
        harness.work(&[kind], kind).await;
        let once = Snapshot::take(&harness).await;
        // The sweep restarts a stalled lecture: that job is no successor.
        let next = STAGES.get(number + 1).copied();
        undo(&harness, kind, next).await;
        harness.work(&[kind], kind).await;
        Snapshot::take(&harness).await.assert_equals(&once, kind);
        let attempts: i32 = sqlx::query_scalar("SELECT max(attempt) FROM queue.jobs WHERE kind = $1")
            .bind(kind)
            .fetch_one(harness.pool())
            .await
            .expect("the job");
        assert_eq!(attempts, 2, "{kind}");
    }
    assert!(harness.scratch().is_empty());
}

/// The first job is enqueued for a completed lecture: it passes all stages and ends unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_completed_lecture_run_through_all_stages_again_is_unchanged() {
    let harness = Harness::new().await;
    harness.start("submit").await;
    harness.work(&STAGES, "transcribe").await;
    let once = Snapshot::take(&harness).await;
    harness.start("submit").await;
    let worker = harness.worker(super::harness::options(&STAGES), harness.ctx.clone());
    eventually("all stages twice", async || harness.count("transcribe", "completed").await == 2).await;
    worker.stop().await;
    let again = Snapshot::take(&harness).await;
    assert_eq!(again.files, once.files);
    assert_eq!(again.rows_of(LECTURE), once.rows_of(LECTURE));
    for kind in STAGES {
        assert_eq!(harness.count(kind, "completed").await, 2, "{kind}");
    }
}
