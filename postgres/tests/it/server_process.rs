//! This binary, run again as another process with a server. It prints `ready`, the server's process id and
//! its data directory on one line, then does what its role says. `run_role` is its entry point; in a normal
//! test run it does nothing.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use bedel_postgres::{Server, StopMode, testing};

use crate::support;

const ROLE: &str = "BEDEL_POSTGRES_TEST_ROLE";
const DIR: &str = "BEDEL_POSTGRES_TEST_DIR";

/// Another process that owns a server or is its guest.
pub struct ServerProcess {
    pub process: Child,
    pub server: u32,
    pub data_dir: PathBuf,
    /// Kept open: a test harness fails if it cannot print its last line.
    _output: Lines<BufReader<ChildStdout>>,
}

impl ServerProcess {
    /// Starts the process and waits for its server.
    pub fn start(role: &str, dir: &Path) -> Self {
        Self::wait_until_ready(role, Self::command(role, dir))
    }

    /// The same, with `TEST_DATABASE_URL` set.
    pub fn start_on(url: &str, role: &str, dir: &Path) -> Self {
        let mut command = Self::command(role, dir);
        command.env("TEST_DATABASE_URL", url);
        Self::wait_until_ready(role, command)
    }

    fn wait_until_ready(role: &str, mut command: Command) -> Self {
        let mut process = command.spawn().expect("started");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let ready = lines
            .find_map(|line| line.ok()?.split_once("ready ").map(|(_, rest)| rest.to_owned()))
            .unwrap_or_else(|| panic!("the process with the role {role:?} ended without a server"));
        let (server, data_dir) = ready.split_once(' ').expect("an id and a directory");
        Self { process, server: server.parse().expect("an id"), data_dir: data_dir.into(), _output: lines }
    }

    /// Starts the process without waiting.
    pub fn spawn(role: &str, dir: &Path) -> Child {
        Self::command(role, dir).spawn().expect("started")
    }

    fn command(role: &str, dir: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command
            .args(["--exact", "server_process::run_role", "--nocapture"])
            .env(ROLE, role)
            .env(DIR, dir)
            .env_remove("TEST_DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Like a crash: no destructor runs.
    pub fn kill_9(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail if a test has already killed it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn run_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let dir = PathBuf::from(std::env::var_os(DIR).expect("a directory"));
    match role.as_str() {
        "own" | "own, stop at once" => {
            let mut options = support::options(&dir);
            if role == "own, stop at once" {
                options.stop_mode = StopMode::Immediate;
            }
            let server = Server::start(options).await.expect("a server");
            println!("\nready {} {}", server.pid(), dir.display());
            std::future::pending::<()>().await;
        }
        "test and return" | "test and panic" | "test and hang" => {
            let database = testing::database("empty", |_| async {}).await;
            let data_dir = support::query(&database.url, "SELECT current_setting('data_directory')").await;
            let file = support::query(&database.url, "SELECT pg_read_file('postmaster.pid')").await;
            println!("\nready {} {data_dir}", file.lines().next().expect("a first line"));
            match role.as_str() {
                "test and return" => {}
                "test and panic" => panic!("on purpose"),
                _ => std::future::pending::<()>().await,
            }
        }
        other => panic!("no such role: {other}"),
    }
}
