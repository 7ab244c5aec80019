//! What open pages watch.

use bedel_queue::inspect::JobState;
use bedel_queue::watch;

use crate::support::{Act, bench, options, step};

#[tokio::test]
async fn the_pulse_changes_with_jobs_and_workers() {
    let bench = bench().await;
    let mut connection = bench.pool.acquire().await.unwrap();
    let (jobs, idle) = watch(&mut connection, &[]).await.unwrap();
    assert!(jobs.is_empty());
    assert_eq!((idle.newest, idle.running, idle.workers), (None, 0, 0));

    let id = bench.enqueue(step(Act::Sleep(1900))).await.id;
    let (jobs, waiting) = watch(&mut connection, &[id]).await.unwrap();
    assert_eq!((waiting.newest, jobs.len()), (Some(id), 1));
    assert!(idle.differs_in_events(&waiting));

    let worker = bench.worker(options(1));
    bench.until(id, "running").await;
    let (jobs, running) = watch(&mut connection, &[id]).await.unwrap();
    assert_eq!((running.running, running.workers, jobs[0].state), (1, 1, JobState::Running));
    assert!(waiting.differs_in_events(&running));

    sqlx::query("UPDATE queue.jobs SET progress = 0.5").execute(&mut *connection).await.unwrap();
    let (jobs, halfway) = watch(&mut connection, &[id]).await.unwrap();
    assert_eq!((halfway.progress_sum, jobs[0].progress), (500, Some(0.5)));
    assert!(halfway != running && !running.differs_in_events(&halfway), "progress is no event");
    worker.stop().await;
}
