//! A lecture that is deleted while an attempt works for it.

use std::time::Duration;

use bedel_jobs::lecture::removal::{Removed, unlink};

use super::STAGES;
use super::door::{Door, Point};
use super::fenced::{behind, deaf};
use super::line::{LECTURE, Line, RECORDING, USER, eventually, options, soon};
use bedel_upstream::Reply;

async fn delete(line: &Line) {
    let mut tx = line.pool().begin().await.expect("a transaction");
    let removed = unlink(&mut tx, USER, LECTURE).await.expect("removed");
    tx.commit().await.expect("a commit");
    assert_eq!(removed, Removed::Deleted);
}

/// Lets a worker run every clean-up, those for later too.
async fn clean(line: &Line) {
    sqlx::query("UPDATE queue.jobs SET run_at = now() WHERE state = 'available'")
        .execute(line.pool())
        .await
        .expect("due");
    let worker = line.worker(options(&["cleanup-orphans"]), line.ctx.clone());
    eventually("all is cleaned", async || !line.is_live("cleanup-orphans").await).await;
    worker.stop().await;
}

async fn assert_gone(line: &Line, when: &str) {
    assert_eq!(line.files_of_lecture(), Vec::<String>::new(), "{when}");
    assert!(line.scratch().is_empty(), "{when}: {:?}", line.scratch());
    assert!(line.downloads().is_empty(), "{when}: {:?}", line.downloads());
    assert!(line.lecture().await.is_none(), "{when}");
    let live: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM queue.jobs WHERE subject = $1 AND state IN ('available', 'running')",
    )
    .bind(LECTURE)
    .fetch_one(line.pool())
    .await
    .expect("a count");
    assert_eq!(live, 0, "{when}");
}

/// The worker hears of nothing; the clean-up comes before, between or after its files.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_under_way_leaves_nothing_whatever_the_attempt_does_afterwards() {
    for (stages, kind) in [(&STAGES[..2], "download"), (&STAGES[..], "transcribe")] {
        // BEGIN, begin, hold, COMMIT, read, check, BEGIN, lock, …
        let (read, check, begin) = (4, 5, 6);
        for point in [
            Point::Before(0),
            Point::After(read),
            Point::Before(check),
            Point::After(check),
            Point::Before(begin),
        ] {
            let line = Line::new().await;
            line.start("submit").await;
            let door = Door::new(&line.pool().connect_options());
            let shut = door.shut(kind, point);
            let worker = line.worker(deaf(stages), behind(&line, &door));
            soon(&format!("{kind} at {point:?}"), shut.reached).await.expect("the door is shut");
            delete(&line).await;
            // The first clean-up is due at once; what comes after it is collected by the second.
            let cleaner = line.worker(options(&["cleanup-orphans"]), line.ctx.clone());
            line.until_state("cleanup-orphans", "completed").await;
            cleaner.stop().await;
            shut.open.send(()).expect("the worker waits");
            worker.stop().await;
            clean(&line).await;
            assert_gone(&line, &format!("{kind} at {point:?}")).await;
        }
    }
}

/// A worker that hears of it stops at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_stopped_by_the_deletion_of_its_lecture() {
    let line = Line::new().await;
    let pieces = RECORDING.len() / 600;
    line.upstream
        .on("/lecture.mp4", [Reply::media(RECORDING.clone()).drip(pieces, Duration::from_millis(100))]);
    line.start("submit").await;
    let worker = line.worker(options(&STAGES), line.ctx.clone());
    eventually("some of it is there", async || line.downloads().iter().any(|name| name.ends_with("/source")))
        .await;
    delete(&line).await;
    let started = std::time::Instant::now();
    eventually("the attempt lets go", async || line.scratch().is_empty()).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(!line.downloads().is_empty(), "for an attempt that would come after it");
    worker.stop().await;
    clean(&line).await;
    assert_gone(&line, "dripping").await;
}
