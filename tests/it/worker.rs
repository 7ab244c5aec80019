//! Worker and scheduler as processes.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bedel_postgres::{Durability, Server, ServerOptions, StopMode};
use futures::StreamExt;
use rustix::process::Signal;
use sqlx::PgPool;
use uuid::Uuid;

use crate::program::{Process, Project, bare, migrated, until};

async fn state(pool: &PgPool, job: &str) -> String {
    sqlx::query_scalar("SELECT state::text FROM queue.jobs WHERE id = $1::uuid")
        .bind(job)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn until_state(pool: &PgPool, job: &str, wanted: &str) {
    let started = Instant::now();
    while state(pool, job).await != wanted {
        assert!(started.elapsed() < Duration::from_secs(30), "the job never became {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_the_schema() {
    let database = bare().await;
    let project = Project::with_database(&database);
    let mut worker = project.start(&["worker"]);
    worker.wait_for_log("bedel migrate");
    project.run(&["migrate"]).ok();
    let job = project.run(&["enqueue", "cleanup-orphans"]).ok().trim().to_owned();
    until_state(&database.pool, &job, "completed").await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_survives_a_database_outage() {
    let directory = tempfile::tempdir().unwrap();
    let options = ServerOptions {
        data_dir: directory.path().join("pg"),
        durability: Durability::Off,
        binaries: None,
        stop_mode: StopMode::Immediate,
    };
    let server = Server::start(options.clone()).await.unwrap();
    server.create_database("bedel").await.unwrap();
    let project =
        Project::new().set("DATABASE_URL", &server.url("bedel")).set("BEDEL_SLOTS", "cleanup-orphans=1");
    project.run(&["migrate"]).ok();
    server.stop().await;

    let mut worker = project.start(&["worker"]);
    let mut scheduler = project.start(&["scheduler"]);
    worker.wait_for_log("the database does not answer");
    scheduler.wait_for_log("the database does not answer");
    for _ in 0..2 {
        let server = Server::start(options.clone()).await.unwrap();
        let pool = PgPool::connect(&server.url("bedel")).await.unwrap();
        let job = project.run(&["enqueue", "cleanup-orphans"]).ok().trim().to_owned();
        until_state(&pool, &job, "completed").await;
        pool.close().await;
        server.stop().await;
    }
    assert!(!worker.has_ended() && !scheduler.has_ended());
    worker.signal(Signal::TERM);
    scheduler.signal(Signal::TERM);
    assert_eq!((worker.wait().code(), scheduler.wait().code()), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_exist_is_a_usage_error() {
    let database = bare().await;
    let wrong = database.url.replace("bedel_test_", "no_such_");
    let project = Project::new().set("DATABASE_URL", &wrong);
    for command in ["worker", "scheduler"] {
        assert!(project.run(&[command]).refused(2).contains("DATABASE_URL"), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_of_another_database_is_refused() {
    let (first, second) = (migrated().await, bare().await);
    let project = Project::with_database(&first);
    let mut worker = project.start(&["worker"]);
    worker.wait_for_log("ready for jobs");
    worker.signal(Signal::TERM);
    worker.wait();
    // A copy of a template has its installation id, so this database is migrated here.
    let project = project.set("DATABASE_URL", &second.url);
    project.run(&["migrate"]).ok();
    assert!(project.run(&["worker"]).refused(2).contains("BEDEL_STORAGE_DIR"));
}

/// The default directory is relative: a process started elsewhere would start a second storage, and lectures
/// with audio in the first would fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_storage_is_refused_until_the_first_is_untied() {
    let database = migrated().await;
    let first = Project::with_database(&database);
    let second =
        Project::with_database(&database).set("BEDEL_TOKENS", "t=00000000-0000-0000-0000-000000000001");
    let mut worker = first.start(&["worker"]);
    worker.wait_for_log("ready for jobs");
    worker.signal(Signal::TERM);
    worker.wait();
    for command in [&["worker"][..], &["api", "--listen", "127.0.0.1:0"]] {
        let complaint = second.run(command).refused(2);
        assert!(
            complaint.contains("BEDEL_STORAGE_DIR") && complaint.contains("tied_at = NULL"),
            "{complaint}"
        );
    }
    assert!(!second.path().join(".data/storage/.bedel-installation").exists());
    assert!(second.run(&["doctor"]).out.contains("FAIL  installation"));
    assert!(first.run(&["doctor"]).out.contains("ok    installation"));

    sqlx::query("UPDATE bedel_installation SET tied_at = NULL").execute(&database.pool).await.unwrap();
    let mut worker = second.start(&["worker"]);
    worker.wait_for_log("ready for jobs");
    worker.signal(Signal::TERM);
    worker.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_cron_text_is_named() {
    let database = migrated().await;
    let project = Project::with_database(&database).set("CLEANUP_CRON", "hourly, please");
    assert!(project.run(&["scheduler"]).refused(2).contains("CLEANUP_CRON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_an_engine_leaves_transcription_to_others() {
    let database = migrated().await;
    let project = Project::with_database(&database).set("BEDEL_METRICS_LISTEN", "127.0.0.1:0");
    let project = project.set("BEDEL_MODEL_DIR", "models");
    let args = format!(r#"{{"lecture_id": "{}"}}"#, Uuid::new_v4());
    let transcribe = project.run(&["enqueue", "transcribe", &args]).ok().trim().to_owned();
    let worker = project.start(&["worker"]);
    worker.wait_for_log("leaves transcribe jobs to others");
    let cleanup = project.run(&["enqueue", "cleanup-orphans"]).ok().trim().to_owned();
    until_state(&database.pool, &cleanup, "completed").await;
    assert_eq!(state(&database.pool, &transcribe).await, "available");
    assert!(project.run(&["worker", "--slots", "transcribe=1"]).refused(2).contains("no slots left"));

    // It reports this when asked, and a worker restarted after the fix reports ready.
    let (status, reason) = ready(&worker).await;
    assert!(status == 503 && reason.contains("bedel model install tiny.en"), "{status} {reason}");
    drop(worker);
    let models = project.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let model = Path::new(&crate::extension::models()).join("ggml-tiny.en.bin");
    std::fs::copy(model, models.join("ggml-tiny.en.bin")).unwrap();
    let many = std::thread::available_parallelism().unwrap().get() + 1;
    let worker = project.start(&["worker", "--slots", &format!("transcribe={many}")]);
    worker.wait_for_log(&format!("{many} exceeds the cores of this host"));
    worker.wait_for_log("ready for jobs");
    assert_eq!(ready(&worker).await, (200, "ready\n".to_owned()));
    drop(worker);

    let none = project.set("BEDEL_ENGINE", "none");
    assert!(none.run(&["worker", "--slots", "transcribe=1"]).refused(2).contains("BEDEL_ENGINE=none"));
    let unset = none.set("BEDEL_ENGINE", "openai");
    assert!(unset.run(&["worker", "--slots", "transcribe=1"]).refused(2).contains("BEDEL_OPENAI_URL"));
    let bad = unset.set("BEDEL_OPENAI_URL", "http://user:hunter2@gpu/v1");
    let refused = bad.run(&["worker", "--slots", "transcribe=1"]).refused(2);
    assert!(refused.contains("BEDEL_OPENAI_URL") && !refused.contains("hunter2"), "{refused}");
}

/// A worker's answer to /readyz.
async fn ready(worker: &Process) -> (u16, String) {
    worker.wait_for_log("metrics at ");
    let log = worker.log();
    let metrics = log.split("metrics at ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(metrics.replace("/metrics", "/readyz")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A lecture with a running job, whose server sends a few bytes and then stalls.
async fn stuck_download(project: Project, pool: &PgPool) -> (Project, Process, String) {
    let body = || async {
        let start = futures::stream::once(async { Ok::<_, std::convert::Infallible>("\0\0\0\x18ftypmp42") });
        Body::from_stream(start.chain(futures::stream::pending()))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/lecture.mp4", get(body))).await });
    let lecture: Uuid = sqlx::query_scalar(
        "INSERT INTO lectures (course_id, panopto_session_id, panopto_url, stream_url)
         VALUES (gen_random_uuid(), 'x', 'https://x.hosted.panopto.com/', $1) RETURNING id",
    )
    .bind(format!("http://{address}/lecture.mp4"))
    .fetch_one(pool)
    .await
    .unwrap();
    let project = project.set("BEDEL_ALLOWED_PRIVATE_HOSTS", &address.to_string());
    let args = format!(r#"{{"lecture_id": "{lecture}"}}"#);
    let job = project.run(&["enqueue", "download", &args]).ok().trim().to_owned();
    let worker = project.start(&["worker"]);
    until_state(pool, &job, "running").await;
    let download = project.path().join(format!(".data/scratch/downloads/{lecture}"));
    until("a download in scratch", || download.read_dir().is_ok_and(|mut entries| entries.next().is_some()));
    (project, worker, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_releases_its_job() {
    let database = migrated().await;
    let project = Project::with_database(&database).set("BEDEL_DRAIN_SECONDS", "0.5");
    let (project, mut worker, job) = stuck_download(project, &database.pool).await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(0));
    let (state, errors, crashes): (String, i32, i32) =
        sqlx::query_as("SELECT state::text, errors, crashes FROM queue.jobs WHERE id = $1::uuid")
            .bind(&job)
            .fetch_one(&database.pool)
            .await
            .unwrap();
    assert_eq!((state.as_str(), errors, crashes), ("available", 0, 0));
    let scratch = project.path().join(".data/scratch").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let directories: Vec<_> = scratch.filter(|path| path.is_dir()).collect();
    assert_eq!(directories, [project.path().join(".data/scratch/downloads")], "the process's own is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_worker_at_once() {
    let database = migrated().await;
    let (_project, mut worker, _) = stuck_download(Project::with_database(&database), &database.pool).await;
    worker.signal(Signal::TERM);
    worker.wait_for_log("SIGTERM");
    let asked = Instant::now();
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(5));
}
