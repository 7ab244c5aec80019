//! A lecture that is deleted during an attempt.

use std::time::Duration;

use bedel_jobs::lecture::removal::{Removed, unlink};
use bedel_test_support::{Moment, Statement};

use super::fenced::{behind, deaf};
use super::harness::{Harness, LECTURE, RECORDING, STAGES, USER, eventually, options, until_held};
use bedel_upstream::Reply;

async fn delete(harness: &Harness) {
    let mut tx = harness.pool().begin().await.expect("a transaction");
    let removed = unlink(&mut tx, USER, LECTURE).await.expect("removed");
    tx.commit().await.expect("a commit");
    assert_eq!(removed, Removed::Deleted);
}

/// Runs every clean-up job, scheduled ones too.
async fn clean(harness: &Harness) {
    sqlx::query("UPDATE queue.jobs SET run_at = now() WHERE state = 'available'")
        .execute(harness.pool())
        .await
        .expect("due");
    let worker = harness.worker(options(&["cleanup-orphans"]), harness.ctx.clone());
    eventually("all is cleaned", async || !harness.is_live("cleanup-orphans").await).await;
    worker.stop().await;
}

async fn assert_gone(harness: &Harness, when: &str) {
    assert_eq!(harness.files_of_lecture(), Vec::<String>::new(), "{when}");
    assert!(harness.scratch().is_empty(), "{when}: {:?}", harness.scratch());
    assert!(harness.downloads().is_empty(), "{when}: {:?}", harness.downloads());
    assert!(harness.lecture().await.is_none(), "{when}");
    let live: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM queue.jobs WHERE subject = $1 AND state IN ('available', 'running')",
    )
    .bind(LECTURE)
    .fetch_one(harness.pool())
    .await
    .expect("a count");
    assert_eq!(live, 0, "{when}");
}

/// The worker notices nothing; the clean-up runs before, between or after its files.
#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_deletion_leaves_nothing_whatever_the_attempt_does_afterwards() {
    for (stages, kind) in [(&STAGES[..2], "download"), (&STAGES[..], "transcribe")] {
        // BEGIN, begin, hold, COMMIT, read, check, BEGIN, lock, …
        let (read, check, begin) = (4, 5, 6);
        for point in [
            (0, Moment::Before),
            (read, Moment::After),
            (check, Moment::Before),
            (check, Moment::After),
            (begin, Moment::Before),
        ] {
            let harness = Harness::new().await;
            harness.start("submit").await;
            let proxy = harness.proxy();
            let mut hold = proxy.hold(Statement::OfKind(kind, point.0), point.1);
            let worker = harness.worker(deaf(stages), behind(&harness, &proxy));
            until_held(&format!("{kind} at {point:?}"), &mut hold).await;
            delete(&harness).await;
            // The first clean-up is due at once; the second collects later files.
            let cleaner = harness.worker(options(&["cleanup-orphans"]), harness.ctx.clone());
            harness.until_state("cleanup-orphans", "completed").await;
            cleaner.stop().await;
            hold.release();
            worker.stop().await;
            clean(&harness).await;
            assert_gone(&harness, &format!("{kind} at {point:?}")).await;
        }
    }
}

/// A worker that is notified stops at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_stopped_by_the_deletion_of_its_lecture() {
    let harness = Harness::new().await;
    let pieces = RECORDING.len() / 600;
    harness
        .upstream
        .on("/lecture.mp4", [Reply::media(RECORDING.clone()).drip(pieces, Duration::from_millis(100))]);
    harness.start("submit").await;
    let worker = harness.worker(options(&STAGES), harness.ctx.clone());
    eventually("some of it is there", async || {
        harness.downloads().iter().any(|name| name.ends_with("/source"))
    })
    .await;
    delete(&harness).await;
    let started = std::time::Instant::now();
    eventually("the attempt lets go", async || harness.scratch().is_empty()).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(!harness.downloads().is_empty(), "for an attempt that would come after it");
    worker.stop().await;
    clean(&harness).await;
    assert_gone(&harness, "dripping").await;
}
