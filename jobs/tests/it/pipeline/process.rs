//! A worker process: this test program, configured by an environment variable.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;

use bedel_jobs::environment::Context;
use bedel_jobs::registry;
use bedel_media::MediaTools;
use bedel_queue::{Queue, WorkerOptions, run_worker};
use bedel_speech::Engine;
#[cfg(feature = "whisper")]
use bedel_speech::models;
use bedel_speech::remote::RemoteEngine;
use bedel_test_support::PgProxy;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use super::fake_engine::FakeEngine;
use super::harness::{Harness, options, settings};
use crate::environment;

const CONFIGURATION: &str = "BEDEL_TEST_WORKER";

/// The worker processes of these tests. It does nothing in a normal run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_process() {
    let Some((ctx, options)) = configuration() else { return };
    let queue = Queue::new(ctx.pool.clone());
    run_worker(queue, registry(ctx), options, CancellationToken::new()).await.expect("a worker");
}

/// Context and options of this process, if a test started it as a worker.
fn configuration() -> Option<(Context, WorkerOptions)> {
    let value: Value = serde_json::from_str(&std::env::var(CONFIGURATION).ok()?).expect("what to be");
    let text = |key: &str| value[key].as_str().expect(key).to_owned();
    let url = PgConnectOptions::from_str(&text("url")).expect("a URL");
    let pool = PgPoolOptions::new().max_connections(4);
    let pool = pool.connect_lazy_with(url);
    let directory = text("directory");
    let ctx =
        environment::create(pool, directory.as_ref(), settings(&text("upstream")), engine(&text("engine")));
    // Every worker starts with this.
    bedel_jobs::scratch::clean_scratch(&ctx.scratch).expect("a clean scratch directory");
    let kinds: Vec<String> = serde_json::from_value(value["kinds"].clone()).expect("kinds");
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    Some((Arc::new(ctx), options(&kinds)))
}

fn engine(name: &str) -> Option<Arc<dyn Engine>> {
    match name {
        #[cfg(feature = "whisper")]
        "whisper" => Some(Arc::new(whisper(models::DEFAULT_MODEL))),
        "quick" => Some(Arc::new(FakeEngine::default())),
        url => {
            let settings = environment::speech_server(&url.parse().expect("the address of a task server"));
            Some(Arc::new(
                RemoteEngine::task(settings, MediaTools::find().expect("ffmpeg")).expect("a client"),
            ))
        }
    }
}

/// The real engine.
#[cfg(feature = "whisper")]
pub fn whisper(model: &str) -> bedel_speech::whisper::Whisper {
    let dir = models::default_dir().expect("a directory for models");
    if let Err(error) = models::resolve(model, &dir) {
        panic!(
            "{error}\nThis test needs the speech model. Type: script/speech (or bedel model install {model})"
        );
    }
    bedel_speech::whisper::Whisper::new(model, dir, None)
}

/// A worker process that is killed when it is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a worker of these kinds behind a proxy.
    pub fn start(harness: &Harness, proxy: &PgProxy, kinds: &[&str], engine: &str) -> Self {
        let program = Command::new(std::env::current_exe().expect("this program"));
        Self::spawn(program, harness, proxy, kinds, engine)
    }

    /// Starts a worker whose downloads go to a private file system of `kilobytes`, with `free` left by
    /// [`Process::ballast`].
    ///
    /// # Panics
    /// If this system allows no private file system.
    pub fn start_on_small_disk(
        harness: &Harness,
        proxy: &PgProxy,
        kinds: &[&str],
        kilobytes: u32,
        free: u32,
    ) -> Self {
        let user: &[&str] = &["--user", "--map-root-user", "--mount"];
        // Root needs no user namespace, where those are forbidden.
        let tries = [user, &["--mount"]];
        let works = |arguments: &&&[&str]| {
            Command::new("unshare")
                .args(**arguments)
                .arg("true")
                .output()
                .is_ok_and(|tried| tried.status.success())
        };
        let arguments = tries.iter().find(works).expect(
            "this test fills a file system of its own, and this system lets it mount none. Install util-linux; on Ubuntu allow it by \
             `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, in a container by `--cap-add SYS_ADMIN`",
        );
        let mut program = Command::new("unshare");
        program.args(*arguments).args(["sh", "-euc"]);
        program.arg(
            r#"mkdir -p "$0"; mount -t tmpfs -o "size=$1k" tmpfs "$0"
               head -c "$(($1 - $2))k" /dev/zero >"$0/ballast"; shift 2; exec "$@""#,
        );
        program.arg(&harness.ctx.downloads).args([kilobytes.to_string(), free.to_string()]);
        program.arg(std::env::current_exe().expect("this program"));
        Self::spawn(program, harness, proxy, kinds, "quick")
    }

    fn spawn(mut program: Command, harness: &Harness, proxy: &PgProxy, kinds: &[&str], engine: &str) -> Self {
        let value = json!({
            "url": proxy.url(&harness.database.url), "directory": harness.directory.path(),
            "upstream": harness.upstream.host(), "kinds": kinds, "engine": engine,
        });
        let child = program
            .args(["--exact", "pipeline::process::worker_process", "--nocapture"])
            .env(CONFIGURATION, value.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        Self(child)
    }

    /// The file that fills its small disk, as this process sees it.
    pub fn ballast(&self, harness: &Harness) -> PathBuf {
        let inside = harness.ctx.downloads.strip_prefix("/").expect("an absolute path").join("ballast");
        PathBuf::from(format!("/proc/{}/root", self.0.id())).join(inside)
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
