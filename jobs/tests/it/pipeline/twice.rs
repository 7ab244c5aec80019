//! Every job run twice.

use super::left::Left;
use super::line::{LECTURE, Line, eventually};
use super::{CRON, STAGES};

/// Makes a completed job due again, as if its completion had been lost, together with what it had enqueued.
async fn undo(line: &Line, kind: &str, next: Option<&str>) {
    if let Some(next) = next {
        sqlx::query("DELETE FROM queue.jobs WHERE kind = $1")
            .bind(next)
            .execute(line.pool())
            .await
            .expect("the successor is gone");
    }
    sqlx::query(
        "UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL, finalized_at = NULL, result = NULL
         WHERE kind = $1",
    )
    .bind(kind)
    .execute(line.pool())
    .await
    .expect("due again");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_run_twice_leaves_what_it_left_once() {
    let line = Line::new().await;
    for (number, kind) in STAGES.iter().chain(&CRON).enumerate() {
        line.start(kind).await;
        line.work(&[kind], kind).await;
        let once = Left::of(&line).await;
        // The sweep starts a lecture again that no job works for: its job is no successor.
        let next = STAGES.get(number + 1).copied();
        undo(&line, kind, next).await;
        line.work(&[kind], kind).await;
        Left::of(&line).await.assert_is(&once, kind);
        let attempts: i32 = sqlx::query_scalar("SELECT max(attempt) FROM queue.jobs WHERE kind = $1")
            .bind(kind)
            .fetch_one(line.pool())
            .await
            .expect("the job");
        assert_eq!(attempts, 2, "{kind}");
    }
    assert!(line.scratch().is_empty());
}

/// Somebody enqueues the first job for a lecture that is done: it goes through all stages and comes out as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_completed_lecture_sent_through_all_stages_again_stays_as_it_was() {
    let line = Line::new().await;
    line.start("submit").await;
    line.work(&STAGES, "transcribe").await;
    let once = Left::of(&line).await;
    line.start("submit").await;
    let worker = line.worker(super::line::options(&STAGES), line.ctx.clone());
    eventually("all stages twice", async || line.count("transcribe", "completed").await == 2).await;
    worker.stop().await;
    let again = Left::of(&line).await;
    assert_eq!(again.files, once.files);
    assert_eq!(again.rows_of(LECTURE), once.rows_of(LECTURE));
    for kind in STAGES {
        assert_eq!(line.count(kind, "completed").await, 2, "{kind}");
    }
}
