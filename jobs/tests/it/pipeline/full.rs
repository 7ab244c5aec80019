//! A disk that fills up during a download.

use bedel_storage::keys;
use bedel_upstream::hls::{Hls, HlsOptions};
use bedel_upstream::media::{identify_seconds, recording};
use bedel_upstream::{Resource, Upstream, delivery_info};

use super::harness::{Harness, LECTURE, eventually};
use super::process::Process;

/// Length of the download in seconds: about 500 kB.
const SECONDS: u32 = 60;

/// Puts a recording on the upstream and returns its URL.
type Serve = fn(&Upstream) -> String;

fn file(upstream: &Upstream) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    upstream.serve("/x.mp4", Resource::new(recording(directory.path(), SECONDS, false)));
    upstream.url("/x.mp4")
}

fn stream(upstream: &Upstream) -> String {
    let options = HlsOptions { seconds: SECONDS, ..HlsOptions::default() };
    let directory = tempfile::tempdir().expect("a directory");
    upstream.serve_hls("/x.hls", &Hls::make(directory.path(), &options))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_makes_a_download_wait_and_corrupts_nothing() {
    for (what, serve) in [("file", file as Serve), ("stream", stream)] {
        let harness = Harness::new().await;
        let url = serve(&harness.upstream);
        let described = delivery_info::ready(&url, "Lecture 1", f64::from(SECONDS));
        harness.upstream.on(delivery_info::PATH, [described]);
        let proxy = harness.proxy();
        harness.start("submit").await;
        // Room for part of it.
        let worker = Process::start_on_small_disk(&harness, &proxy, &["submit", "download"], 4096, 300);
        let waits = "SELECT EXISTS (SELECT FROM queue.jobs
                                    WHERE kind = 'download' AND state = 'available' AND reason LIKE '%disk space%')";
        let is_waiting =
            async || sqlx::query_scalar(waits).fetch_one(harness.pool()).await.expect("an answer");
        eventually(&format!("the {what} waits"), is_waiting).await;
        let message = harness.lecture().await.expect("the lecture").error_message.expect("a message");
        assert!(message.contains("resumes once there is some"), "{message}");

        std::fs::remove_file(worker.ballast(&harness)).expect("the ballast");
        // It would retry in five minutes.
        sqlx::query("UPDATE queue.jobs SET run_at = now() WHERE kind = 'download'")
            .execute(harness.pool())
            .await
            .expect("it is due");
        harness.until_done("download").await;
        drop(worker);
        let errors: i32 = sqlx::query_scalar("SELECT errors FROM queue.jobs WHERE kind = 'download'")
            .fetch_one(harness.pool())
            .await
            .expect("the job");
        assert_eq!(errors, 0, "{what}: no attempt was spent");
        let stored = harness.ctx.storage.local_path(&keys::audio(LECTURE)).expect("local storage");
        let heard = identify_seconds(&stored);
        assert_eq!(heard, (0..SECONDS).map(Some).collect::<Vec<_>>(), "{what}");
        let asked = harness.upstream.requests();
        assert!(
            what == "stream" || asked.iter().any(|request| request.header("range").is_some()),
            "{asked:?}"
        );
    }
}
