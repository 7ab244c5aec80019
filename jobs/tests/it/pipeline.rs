//! The six jobs under the real queue: run twice, killed between any two of their steps, robbed of their lease, failing,
//! and deleted under way. What is left must be the rows and files of a run that nothing disturbed.

#[cfg(feature = "whisper")]
mod accurate;
mod deleted;
mod documented;
mod door;
mod failed;
mod fenced;
#[cfg(target_os = "linux")]
mod full;
mod killed;
mod left;
mod line;
mod paid;
mod pieces;
mod process;
mod published;
mod quick;
#[cfg(feature = "whisper")]
mod spoken;
mod twice;

use bedel_jobs::registry;
use bedel_queue::{Queue, run_worker};
use tokio_util::sync::CancellationToken;

/// Not a test of its own: what the processes of these tests run. It does nothing unless one of them started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_process() {
    let Some((ctx, options)) = process::given().await else { return };
    let queue = Queue::new(ctx.pool.clone());
    run_worker(queue, registry(ctx), options, CancellationToken::new()).await.expect("a worker");
}

/// The kinds whose jobs follow one another for a lecture, in their order.
const STAGES: [&str; 4] = ["submit", "download", "probe", "transcribe"];
/// The kinds that a clock starts.
const CRON: [&str; 2] = ["cleanup-orphans", "course-sync"];
